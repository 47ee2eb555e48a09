#define _GNU_SOURCE
#include "protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define IMAGE "/image"

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags,
                     const char *options) {
  mkdir(target, 0755);
  if (mount(source, target, type, flags, options) != 0) fail(FAILED_GUEST, target);
}

void prepare_machine(void) {
  mount_at("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mkdir("/dev", 0755);
  mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, NULL); /* EBUSY: already there */
  mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* /modules/00, 01 …: in the order in which they need each other. */
void load_modules(void) {
  for (int index = 0;; index++) {
    char path[32];
    snprintf(path, sizeof path, "/modules/%02d", index);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) break;
    if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST) fail(FAILED_GUEST, path);
    close(fd);
    unlink(path);
  }
  /* Whatever happens to the task's wall, this kernel takes in no more code, and gives nobody a
     namespace in which he is root. */
  write_file("/proc/sys/kernel/modules_disabled", "1");
  write_file("/proc/sys/kernel/kexec_load_disabled", "1");
  write_file("/proc/sys/kernel/unprivileged_bpf_disabled", "1");
  write_file("/proc/sys/user/max_user_namespaces", "0");
  write_file("/proc/sys/kernel/dmesg_restrict", "1");
  write_file("/proc/sys/kernel/kptr_restrict", "2");
  /* Memory ends at the task's limit, where it is told as such, and not at what this machine has. */
  write_file("/proc/sys/vm/overcommit_memory", "1");
}

/* The only interface there is: what programs say to themselves. */
static void start_loopback(void) {
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  ioctl(fd, SIOCSIFFLAGS, &request);
  close(fd);
}

/* Disks are known by the serial numbers that the host gave them; their order is the bus's affair. */
static int disk_of(const char *serial, char *device, size_t size) {
  for (char letter = 'a'; letter <= 'd'; letter++) {
    char path[64], text[24] = "";
    snprintf(path, sizeof path, "/sys/block/vd%c/serial", letter);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length > 0 && text[length - 1] == '\n') text[length - 1] = 0;
    if (strcmp(text, serial) != 0) continue;
    snprintf(device, size, "/dev/vd%c", letter);
    return 1;
  }
  return 0;
}

static int is_ours(const char *name) {
  static const char *ours[] = {".", "..", "in", "out", "tmp", "dev", "proc", "sys", "run"};
  for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
    if (strcmp(name, ours[i]) == 0) return 1;
  return 0;
}

/* The image is read-only and may lack our mount points: the root is a small file system of its own,
   into which what the image has at its top is bound. */
static void bind_image(void) {
  DIR *top = opendir(IMAGE);
  if (top == NULL) fail(FAILED_IMAGE, "its root directory");
  for (struct dirent *entry; (entry = readdir(top)) != NULL;) {
    char from[300], to[300], link[4096];
    struct stat found;
    if (is_ours(entry->d_name)) continue;
    snprintf(from, sizeof from, IMAGE "/%s", entry->d_name);
    snprintf(to, sizeof to, ROOT "/%s", entry->d_name);
    if (lstat(from, &found) != 0) fail(FAILED_IMAGE, from);
    if (S_ISLNK(found.st_mode)) {
      ssize_t length = readlink(from, link, sizeof link - 1);
      if (length < 0) fail(FAILED_IMAGE, from);
      link[length] = 0;
      if (symlink(link, to) != 0) fail(FAILED_IMAGE, to);
      continue;
    }
    if (S_ISDIR(found.st_mode)) mkdir(to, 0755);
    else if (S_ISREG(found.st_mode)) close(open(to, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
    else continue;
    if (mount(from, to, NULL, MS_BIND, NULL) != 0) fail(FAILED_IMAGE, to);
  }
  closedir(top);
}

static void make_devices(void) {
  static const struct {
    const char *path;
    int minor;
  } devices[] = {{"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
  static const char *links[][2] = {{"fd", "/proc/self/fd"},
                                   {"stdin", "/proc/self/fd/0"},
                                   {"stdout", "/proc/self/fd/1"},
                                   {"stderr", "/proc/self/fd/2"}};
  char path[64];
  mount_at("tmpfs", ROOT "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k,nr_inodes=32");
  for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
    snprintf(path, sizeof path, ROOT "/dev/%s", devices[i].path);
    mknod(path, S_IFCHR | 0666, makedev(1, devices[i].minor));
  }
  for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
    snprintf(path, sizeof path, ROOT "/dev/%s", links[i][0]);
    symlink(links[i][1], path);
  }
  mount_at("tmpfs", ROOT "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
           "mode=1777,size=16m,nr_inodes=1024");
}

static void place_secrets(const struct config *config, const uint8_t *at, const uint8_t *end) {
  mount_at("tmpfs", ROOT "/run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
           "mode=755,size=1m,nr_inodes=256");
  if (config->secrets == 0) return;
  mkdir(ROOT "/run/secrets", 0700);
  for (uint32_t i = 0; i < config->secrets; i++) {
    char path[512];
    uint32_t size;
    size_t name = strnlen((const char *)at, end - at);
    if (end - at < (ptrdiff_t)(name + 5)) fail(FAILED_GUEST, "secrets");
    snprintf(path, sizeof path, ROOT "/run/secrets/%s", (const char *)at);
    memcpy(&size, at + name + 1, 4);
    at += name + 5;
    if (end - at < (ptrdiff_t)size) fail(FAILED_GUEST, "secrets");
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0400);
    if (fd < 0 || write(fd, at, size) != (ssize_t)size) fail(FAILED_GUEST, "secrets");
    fchown(fd, config->user, config->user);
    close(fd);
    at += size;
  }
  chown(ROOT "/run/secrets", config->user, config->user);
  mount(NULL, ROOT "/run", NULL, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

void build_root(const struct config *config, const uint8_t *secrets, const uint8_t *end) {
  char device[16], options[64];
  if (!disk_of("root", device, sizeof device)) fail(FAILED_GUEST, "the image's disk");
  mkdir(IMAGE, 0755);
  if (mount(device, IMAGE, config->image_type, MS_RDONLY | MS_NODEV,
            strcmp(config->image_type, "ext4") == 0 ? "noload" : NULL) != 0)
    fail(FAILED_IMAGE, config->image_type);
  mount_at("tmpfs", ROOT, "tmpfs", MS_NODEV, "mode=755,size=1m,nr_inodes=512");
  bind_image();

  make_devices();
  place_secrets(config, secrets, end);
  start_loopback();
  mount_at("sysfs", ROOT "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
  mount_at("proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2");
  snprintf(options, sizeof options, "mode=1777,size=%llu", (unsigned long long)config->tmp_bytes);
  mount_at("tmpfs", ROOT "/tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, options);
  if (disk_of("in", device, sizeof device))
    mount_at(device, ROOT "/in", "ext4", MS_RDONLY | MS_NOSUID | MS_NODEV, "noload");
  if (!disk_of("out", device, sizeof device)) fail(FAILED_GUEST, "the disk of /out");
  mount_at(device, ROOT "/out", "ext4", MS_NOSUID | MS_NODEV | MS_NOATIME, NULL);
  rmdir(ROOT "/out/lost+found");
  if (mount(NULL, ROOT, NULL, MS_REMOUNT | MS_RDONLY | MS_NODEV, NULL) != 0)
    fail(FAILED_GUEST, ROOT);
  disk_begin();
}

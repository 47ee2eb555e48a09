/* Tries to alter a file and its directory by every call that could; says which of them did not fail. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *directory, *file;
static char inside[4096], beside[4096], reopened[64];

/* Each attack in a process of its own: one that maps and is killed for it has failed. */
#define ATTACK(name, held) \
  do { \
    fflush(stdout); \
    pid_t child = fork(); \
    if (child == 0) _exit((held) ? 0 : 1); \
    int status = 0; \
    waitpid(child, &status, 0); \
    if (WIFEXITED(status) && WEXITSTATUS(status) == 1) printf("HELD NOT: %s\n", name); \
  } while (0)

static int readable(void) { return open(file, O_RDONLY); }

static int writes(int fd) { return fd >= 0 && (write(fd, "x", 1) == 1 || ftruncate(fd, 0) == 0); }

static int maps(int flags, int protection, int later) {
  int fd = open(file, flags);
  if (fd < 0) return 0;
  char *bytes = mmap(NULL, 4096, protection, MAP_SHARED, fd, 0);
  if (bytes == MAP_FAILED) return 0;
  if (later && mprotect(bytes, 4096, PROT_READ | PROT_WRITE) != 0) return 0;
  bytes[0] = 'x';
  return msync(bytes, 4096, MS_SYNC) == 0;
}

/* Others see a private mapping's writes only if the kernel has a hole. */
static int leaks(void) {
  int fd = readable();
  char before, after;
  if (pread(fd, &before, 1, 0) != 1) return 0;
  char *bytes = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  if (bytes == MAP_FAILED) return 0;
  bytes[0] = before + 1;
  madvise(bytes, 4096, MADV_DONTNEED);
  return pread(readable(), &after, 1, 0) == 1 && after != before;
}

static int flagged(void) {
  int flags = 0, fd = readable();
  if (ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0) return 0;
  flags ^= FS_NOATIME_FL;
  return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static int copies(void) {
  int from = open("/proc/self/exe", O_RDONLY);
  int to = readable();
  off_t zero = 0;
  return syscall(SYS_copy_file_range, from, NULL, to, &zero, 1, 0) > 0 ||
         sendfile(to, from, NULL, 1) > 0 || ioctl(to, FICLONE, from) == 0;
}

static int pipes(void) {
  int ends[2];
  if (pipe(ends) != 0 || write(ends[1], "x", 1) != 1) return 0;
  return splice(ends[0], NULL, readable(), NULL, 1, 0) > 0;
}

static int remounts(void) {
  return mount(NULL, directory, NULL, MS_REMOUNT | MS_BIND, NULL) == 0 ||
         mount(NULL, directory, NULL, MS_REMOUNT, NULL) == 0 ||
         mount(directory, "/tmp", NULL, MS_BIND, NULL) == 0 ||
         mount(directory, "/tmp", NULL, MS_MOVE, NULL) == 0 || umount2(directory, MNT_DETACH) == 0;
}

static int in_namespace(void) {
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 && (remounts() || writes(open(file, O_RDWR)));
}

static int by_handle(void) {
  struct { struct file_handle head; unsigned char bytes[128]; } handle;
  int mount_id;
  handle.head.handle_bytes = sizeof handle.bytes;
  if (name_to_handle_at(AT_FDCWD, file, &handle.head, &mount_id, 0) != 0) return 0;
  int at = open("/out", O_RDONLY);
  return writes(open_by_handle_at(at, &handle.head, O_RDWR));
}

int main(int count, char **arguments) {
  if (count < 3) return 2;
  directory = arguments[1];
  snprintf(inside, sizeof inside, "%s/%s", directory, arguments[2]);
  snprintf(beside, sizeof beside, "%s/new", directory);
  file = inside;
  struct timespec times[2] = {{1, 0}, {1, 0}};
  int held = readable();
  if (held < 0) return 3;
  snprintf(reopened, sizeof reopened, "/proc/self/fd/%d", held);
  const char *root = "/proc/1/root/in";

  ATTACK("write", !writes(open(file, O_WRONLY)));
  ATTACK("write and read", !writes(open(file, O_RDWR)));
  ATTACK("append", !writes(open(file, O_WRONLY | O_APPEND)));
  ATTACK("open to truncate", open(file, O_RDONLY | O_TRUNC) < 0 || lseek(readable(), 0, SEEK_END) > 0);
  ATTACK("truncate", truncate(file, 0) != 0);
  ATTACK("allocate", fallocate(readable(), 0, 0, 1 << 20) != 0);
  ATTACK("punch a hole", fallocate(open(file, O_RDWR), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 1) != 0);
  ATTACK("write by its descriptor's name", !writes(open(reopened, O_RDWR)));
  ATTACK("write by the root of another process", !writes(openat(open(root, O_RDONLY), arguments[2], O_RDWR)));
  ATTACK("write by its handle", !by_handle());
  ATTACK("write by a mapping", !maps(O_RDWR, PROT_READ | PROT_WRITE, 0));
  ATTACK("write by a mapping of a reader", !maps(O_RDONLY, PROT_READ | PROT_WRITE, 0));
  ATTACK("write by a mapping that is changed later", !maps(O_RDONLY, PROT_READ, 1));
  ATTACK("write by a private mapping", !leaks());
  ATTACK("copy into it", !copies());
  ATTACK("splice into it", !pipes());
  ATTACK("chmod", chmod(file, 0777) != 0);
  ATTACK("chmod by descriptor", fchmod(held, 0777) != 0);
  ATTACK("chmod by its descriptor's name", chmod(reopened, 0777) != 0);
  ATTACK("chown", chown(file, getuid(), getgid()) != 0);
  ATTACK("chown by descriptor", fchown(held, getuid(), getgid()) != 0);
  ATTACK("change times", utimensat(AT_FDCWD, file, times, 0) != 0);
  ATTACK("change times by descriptor", futimens(held, times) != 0);
  ATTACK("set an attribute", setxattr(file, "user.x", "x", 1, 0) != 0);
  ATTACK("set an attribute by descriptor", fsetxattr(held, "user.x", "x", 1, 0) != 0);
  ATTACK("set flags", !flagged());
  ATTACK("unlink", unlink(file) != 0);
  ATTACK("rename", rename(file, beside) != 0);
  ATTACK("move out", rename(file, "/out/moved") != 0);
  ATTACK("move over it", open("/out/over", O_CREAT | O_WRONLY, 0600) < 0 || rename("/out/over", file) != 0);
  ATTACK("exchange", syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, "/out/over", RENAME_EXCHANGE) != 0);
  ATTACK("link within", link(file, beside) != 0);
  ATTACK("link out", link(file, "/out/linked") != 0);
  ATTACK("link out by descriptor", linkat(held, "", AT_FDCWD, "/out/linked", AT_EMPTY_PATH) != 0);
  ATTACK("link out by its descriptor's name", linkat(AT_FDCWD, reopened, AT_FDCWD, "/out/linked", AT_SYMLINK_FOLLOW) != 0);
  ATTACK("create", open(beside, O_CREAT | O_WRONLY, 0600) < 0);
  ATTACK("create without a name", open(directory, O_TMPFILE | O_RDWR, 0600) < 0);
  ATTACK("make a directory", mkdir(beside, 0700) != 0);
  ATTACK("make a link", symlink("/out", beside) != 0);
  ATTACK("make a pipe", mkfifo(beside, 0600) != 0);
  ATTACK("chmod the directory", chmod(directory, 0777) != 0);
  ATTACK("rename the directory", rename(directory, "/out/in") != 0);
  ATTACK("remove the directory", rmdir(directory) != 0);
  ATTACK("mount again", !remounts());
  ATTACK("mount again in a namespace", !in_namespace());
  printf("tried\n");
  return 0;
}

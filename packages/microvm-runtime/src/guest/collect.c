#define _GNU_SOURCE
#include "protocol.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define OUT ROOT "/out"
/* What an entry without content counts, so that a flood of them runs into the quota too. */
#define ENTRY_BYTES 256

static uint64_t empty_blocks, empty_inodes;

void disk_begin(void) {
  struct statfs found;
  if (statfs(OUT, &found) != 0) return;
  empty_blocks = found.f_blocks - found.f_bfree;
  empty_inodes = found.f_files - found.f_ffree;
}

uint64_t disk_used(int *full) {
  struct statfs found;
  if (statfs(OUT, &found) != 0) return 0;
  uint64_t blocks = found.f_blocks - found.f_bfree;
  *full = found.f_bfree == 0 || found.f_ffree == 0;
  uint64_t inodes = found.f_files - found.f_ffree;
  uint64_t bytes = blocks > empty_blocks ? (blocks - empty_blocks) * found.f_bsize : 0;
  return bytes + (inodes > empty_inodes ? (inodes - empty_inodes) * ENTRY_BYTES : 0);
}

struct walk {
  char path[PATH_BYTES + 1];
  uint64_t bytes;
  int sending;
};

static void skip(struct walk *walk, const char *why) {
  if (walk->sending) send_frame(OUT_SKIPPED, why, strlen(why) + 1, walk->path, strlen(walk->path));
}

static void send_content(int fd, uint64_t size) {
  static uint8_t chunk[CHUNK];
  while (size > 0) {
    ssize_t length = read(fd, chunk, size < CHUNK ? size : CHUNK);
    if (length <= 0) {
      /* The size was promised; a disk that cannot be read ends the machine instead of lying. */
      fail(FAILED_GUEST, "reading /out");
    }
    send_frame(OUT_DATA, NULL, 0, chunk, length);
    size -= length;
  }
}

static void walk_directory(struct walk *walk, int at, int depth);

static void visit(struct walk *walk, int at, const char *name, int depth) {
  struct stat found;
  if (fstatat(at, name, &found, AT_SYMLINK_NOFOLLOW) != 0) return skip(walk, "cannot be read");
  walk->bytes += ENTRY_BYTES;
  if (S_ISDIR(found.st_mode)) {
    if (depth >= DEPTH) return skip(walk, "is too deep");
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return skip(walk, "cannot be read");
    if (walk->sending) send_frame(OUT_DIRECTORY, NULL, 0, walk->path, strlen(walk->path));
    return walk_directory(walk, fd, depth + 1);
  }
  if (!S_ISREG(found.st_mode)) return skip(walk, "is a link or a special file");
  walk->bytes += found.st_size;
  if (!walk->sending) return;
  int fd = openat(at, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return skip(walk, "cannot be read");
  struct {
    uint64_t size;
    uint32_t mode;
  } __attribute__((packed)) head = {found.st_size, found.st_mode & 0777};
  send_frame(OUT_FILE, &head, sizeof head, walk->path, strlen(walk->path));
  send_content(fd, found.st_size);
  close(fd);
}

/* Closes `at`. */
static void walk_directory(struct walk *walk, int at, int depth) {
  size_t length = strlen(walk->path);
  DIR *directory = fdopendir(at);
  if (directory == NULL) fail(FAILED_GUEST, "reading /out");
  for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    size_t needed = length + (length > 0) + strlen(entry->d_name);
    if (needed > PATH_BYTES) {
      skip(walk, "holds a path that is too long");
      continue;
    }
    snprintf(walk->path + length, sizeof walk->path - length, "%s%s", length > 0 ? "/" : "",
             entry->d_name);
    visit(walk, at, entry->d_name, depth);
    walk->path[length] = 0;
  }
  closedir(directory);
}

static void run(struct walk *walk) {
  int fd = open(OUT, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) fail(FAILED_GUEST, "reading /out");
  walk_directory(walk, fd, 0);
}

int collect(uint64_t quota_bytes) {
  static struct walk walk;
  run(&walk);
  if (walk.bytes > quota_bytes) return 0;
  walk.sending = 1;
  run(&walk);
  return 1;
}

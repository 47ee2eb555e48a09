#include "protocol.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GROUPS "/sys/fs/cgroup"
#define GROUP GROUPS "/task"

int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t length = strlen(text);
  int whole = write(fd, text, length) == length;
  close(fd);
  return whole;
}

static const char *read_file(const char *path) {
  static char text[8192];
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length > 0 ? length : 0] = 0;
  return text;
}

/* The number behind a name in one of the kernel's tables. */
static uint64_t entry_of(const char *table, const char *name) {
  size_t length = strlen(name);
  for (const char *line = table; line != NULL && *line != 0; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, name, length) == 0 && line[length] == ' ')
      return strtoull(line + length, NULL, 10);
  }
  return 0;
}

void group_create(const struct limits *limits) {
  if (!write_file(GROUPS "/cgroup.subtree_control", "+cpu +memory +pids"))
    fail(FAILED_GUEST, "control groups");
  mkdir(GROUP, 0755);
  write_file(GROUP "/memory.swap.max", "0");
  write_file(GROUP "/memory.oom.group", "0");
  group_limit(limits);
}

/* A zero leaves a limit as it is. */
void group_limit(const struct limits *limits) {
  char text[64];
  if (limits->pids > 0) {
    snprintf(text, sizeof text, "%u", limits->pids);
    if (!write_file(GROUP "/pids.max", text)) fail(FAILED_GUEST, "pids.max");
  }
  if (limits->cpu_milli > 0) {
    snprintf(text, sizeof text, "%llu 100000", limits->cpu_milli * 100ull);
    if (!write_file(GROUP "/cpu.max", text)) fail(FAILED_GUEST, "cpu.max");
  }
  if (limits->memory_bytes > 0) {
    snprintf(text, sizeof text, "%llu", (unsigned long long)limits->memory_bytes);
    if (!write_file(GROUP "/memory.max", text)) fail(FAILED_GUEST, "memory.max");
  }
}

void group_join(void) {
  if (!write_file(GROUP "/cgroup.procs", "0")) _exit(126);
}

void group_kill(void) { write_file(GROUP "/cgroup.kill", "1"); }

uint32_t group_oom_kills(void) {
  return entry_of(read_file(GROUP "/memory.events"), "oom_kill");
}

void group_status(struct status *status) {
  const char *table = read_file(GROUP "/memory.stat");
  uint64_t cache = entry_of(table, "file") - entry_of(table, "shmem");
  uint64_t now = strtoull(read_file(GROUP "/memory.current"), NULL, 10);
  uint64_t peak = strtoull(read_file(GROUP "/memory.peak"), NULL, 10);
  /* What is cache the kernel takes back by itself. */
  status->memory_bytes = now > cache ? now - cache : 0;
  status->memory_peak_bytes = peak > cache ? peak - cache : 0;
  if (status->memory_peak_bytes < status->memory_bytes)
    status->memory_peak_bytes = status->memory_bytes;
  status->pids = strtoul(read_file(GROUP "/pids.current"), NULL, 10);
  status->cpu_us = entry_of(read_file(GROUP "/cpu.stat"), "usage_usec");
  status->oom_kills = group_oom_kills();
}

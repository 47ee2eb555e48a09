/*
 * What the guest's init and the host say to each other over one virtio-serial port. Every frame is a
 * 32-bit length, a type byte and that many bytes; numbers are little-endian. The host's side is
 * guest-protocol.ts. The host believes nothing of it further than the task's own result.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define PROTOCOL_VERSION 1
/* The kernel passes on at most 32 KiB at once. */
#define CHUNK (32 * 1024)
/* argv, environment and secrets have limits of their own, below this together. */
#define CONFIG_MAX (1024 * 1024)
#define PATH_BYTES 1024
#define DEPTH 64

enum to_host {
  HELLO = 1,
  STARTED = 2,
  FAILED = 3,
  STDOUT = 4,
  STDERR = 5,
  STATUS = 6,
  ENDED = 7,
  OUT_DIRECTORY = 8,
  OUT_FILE = 9,
  OUT_DATA = 10,
  OUT_SKIPPED = 11,
  DONE = 12,
  LIMITED = 13,
  PONG = 14,
};

enum to_guest { CONFIG = 1, SIGNAL = 2, LIMIT = 3, PING = 4 };

enum failure { FAILED_IMAGE = 1, FAILED_COMMAND = 2, FAILED_GUEST = 3 };
enum reason { EXITED = 0, MAX_RUNTIME = 1, DISK = 2, STOPPED = 3 };

struct limits {
  uint64_t memory_bytes;
  uint32_t pids;
  uint32_t cpu_milli;
};

struct config {
  uint32_t version;
  uint32_t user;
  uint64_t clock_ns;
  uint64_t disk_bytes;
  uint64_t tmp_bytes;
  uint64_t max_runtime_ms;
  struct limits limits;
  uint32_t argc;
  uint32_t envc;
  uint32_t secrets;
  char image_type[12];
  /* Then argc strings and envc strings, each with its zero byte; then for each secret its name with
     its zero byte, a 32-bit length and the bytes. */
};

/* channel.c */
int channel_open(void);
void send_frame(uint8_t type, const void *head, size_t head_size, const void *body, size_t body_size);
/* The next whole frame, or 0 when none has arrived. Ends the machine when the host has gone. */
int receive_frame(uint8_t *type, uint8_t **body, uint32_t *size);
void wait_readable(int fd);
_Noreturn void power_off(void);
_Noreturn void fail(enum failure what, const char *doing);

/* machine.c */
void prepare_machine(void);
void load_modules(void);
void build_root(const struct config *config, const uint8_t *secrets, const uint8_t *end);

/* control-group.c */
void group_create(const struct limits *limits);
void group_limit(const struct limits *limits);
void group_join(void);
void group_kill(void);
uint32_t group_oom_kills(void);

struct status {
  uint64_t memory_bytes;
  uint64_t memory_peak_bytes;
  uint64_t disk_bytes;
  uint64_t cpu_us;
  uint32_t pids;
  uint32_t oom_kills;
};
void group_status(struct status *status);
int write_file(const char *path, const char *text);

/* task.c */
struct task {
  int pid;
  int out;
  int err;
};
void task_start(struct task *task, const struct config *config, char **argv, char **envp);

/* collect.c */
void disk_begin(void);
uint64_t disk_used(int *full);
/* Sends what is below /out; returns 0 when that is more than the quota and nothing was sent. */
int collect(uint64_t quota_bytes);

#define ROOT "/root"

#endif

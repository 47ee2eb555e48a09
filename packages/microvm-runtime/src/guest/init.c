/*
 * The first and only program of the guest besides the task: builds the task's room, starts it, passes
 * on what it says, keeps its limits and its time, hands over what it leaves, and ends the machine.
 */
#define _GNU_SOURCE
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 200
/* A step longer than this was no time of the task: the machine stood still. */
#define STEP_MS 500

static uint64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000ull + now.tv_nsec / 1000000;
}

/* Waits for the configuration. Until then the host may ask for the processor's clock: where nothing
   tells its frequency, the host measures it. */
static uint8_t *configuration(int channel, uint32_t *size) {
  for (uint8_t type, *body;;) {
    while (!receive_frame(&type, &body, size)) wait_readable(channel);
    if (type == CONFIG) return body;
    if (type != PING) power_off();
    uint64_t ticks = __builtin_ia32_rdtsc();
    send_frame(PONG, &ticks, sizeof ticks, NULL, 0);
  }
}

/* The strings of a configuration, as execve wants them. */
static char **strings(uint8_t **at, const uint8_t *end, uint32_t count) {
  char **list = calloc(count + 1, sizeof *list);
  if (list == NULL) fail(FAILED_GUEST, "memory");
  for (uint32_t i = 0; i < count; i++) {
    size_t length = strnlen((char *)*at, end - *at);
    if (*at + length >= end) fail(FAILED_GUEST, "configuration");
    list[i] = (char *)*at;
    *at += length + 1;
  }
  return list;
}

/* Passes on what a pipe holds. Returns 0 when it has ended. */
static int pump(int fd, uint8_t type) {
  static uint8_t chunk[CHUNK];
  ssize_t length = read(fd, chunk, sizeof chunk);
  if (length > 0) send_frame(type, NULL, 0, chunk, length);
  return length > 0 || (length < 0 && (errno == EAGAIN || errno == EINTR));
}

static void drain(int fd, uint8_t type) {
  static uint8_t chunk[CHUNK];
  ssize_t length;
  /* Nobody writes any more, so this ends. */
  while (fd >= 0 && (length = read(fd, chunk, sizeof chunk)) > 0)
    send_frame(type, NULL, 0, chunk, length);
}

static void end_all(void) {
  do {
    group_kill();
    kill(-1, SIGKILL);
    while (waitpid(-1, NULL, WNOHANG) > 0) {}
  } while (waitpid(-1, NULL, 0) > 0);
}

struct ending {
  int32_t code;
  int32_t signal;
  uint32_t reason;
  uint64_t run_ms;
  struct status status;
} __attribute__((packed));

/* Lives with the task until it ends; returns how. */
static struct ending follow(int channel, struct task *task, const struct config *config) {
  struct ending end = {.code = -1, .signal = 0, .reason = EXITED};
  uint64_t last = now_ms(), tick = last, ran = 0;
  sigset_t children;
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  int signals = signalfd(-1, &children, SFD_NONBLOCK | SFD_CLOEXEC);
  for (int running = 1; running;) {
    uint64_t now = now_ms(), left = config->max_runtime_ms - ran;
    uint64_t wake = tick < now + left ? tick : now + left;
    struct pollfd fds[] = {{channel, POLLIN, 0},
                           {signals, POLLIN, 0},
                           {task->out, POLLIN, 0},
                           {task->err, POLLIN, 0}};
    poll(fds, 4, wake > now ? (int)(wake - now) : 0);
    if (fds[2].revents && !pump(task->out, STDOUT)) task->out = (close(task->out), -1);
    if (fds[3].revents && !pump(task->err, STDERR)) task->err = (close(task->err), -1);

    uint8_t type, *body;
    uint32_t size;
    while ((fds[0].revents & (POLLIN | POLLHUP)) && receive_frame(&type, &body, &size)) {
      if (type == SIGNAL && size == 4) {
        uint32_t signal;
        memcpy(&signal, body, 4);
        end.reason = STOPPED;
        kill(task->pid, signal);
      } else if (type == LIMIT && size == 4 + sizeof(struct limits)) {
        struct limits limits;
        memcpy(&limits, body + 4, sizeof limits);
        group_limit(&limits);
        send_frame(LIMITED, body, 4, NULL, 0);
      }
    }

    struct signalfd_siginfo ignored;
    while (read(signals, &ignored, sizeof ignored) > 0) {}
    int status;
    for (int pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (pid != task->pid) continue; /* an orphan */
      if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
      if (WIFSIGNALED(status)) end.signal = WTERMSIG(status);
      running = 0;
    }
    now = now_ms();
    ran += now - last < STEP_MS ? now - last : STEP_MS;
    last = now;
    if (!running) break;

    if (now >= tick) {
      int full = 0;
      struct status report;
      group_status(&report);
      report.disk_bytes = disk_used(&full);
      send_frame(STATUS, &report, sizeof report, NULL, 0);
      if (full || report.disk_bytes > config->disk_bytes) {
        end.reason = DISK;
        running = 0;
      }
      tick = now + TICK_MS;
    }
    if (ran >= config->max_runtime_ms) {
      end.reason = MAX_RUNTIME;
      running = 0;
    }
  }
  if (end.code < 0 && end.signal == 0) end.signal = SIGKILL;
  end.run_ms = ran;
  return end;
}

int main(void) {
  uint32_t size;
  sigset_t children;
  umask(0);
  prepare_machine();
  load_modules();
  /* Now and then a busy computer's emulation leaves the kernel without a clock. Such a machine ends
     here: it never wakes again, the host sees that, and starts another. */
  usleep(1000);
  int channel = channel_open();
  uint8_t hello = PROTOCOL_VERSION;
  send_frame(HELLO, &hello, 1, NULL, 0);

  uint8_t *body = configuration(channel, &size);
  uint8_t *copy = malloc(size);
  if (copy == NULL || size < sizeof(struct config)) fail(FAILED_GUEST, "configuration");
  memcpy(copy, body, size);
  struct config *config = (struct config *)copy;
  if (config->version != PROTOCOL_VERSION) fail(FAILED_GUEST, "configuration");
  struct timespec clock = {config->clock_ns / 1000000000, config->clock_ns % 1000000000};
  clock_settime(CLOCK_REALTIME, &clock);
  uint8_t *at = copy + sizeof *config;
  char **argv = strings(&at, copy + size, config->argc);
  char **envp = strings(&at, copy + size, config->envc);
  if (config->argc == 0) fail(FAILED_COMMAND, "no command");

  build_root(config, at, copy + size);
  group_create(&config->limits);
  sigemptyset(&children);
  sigaddset(&children, SIGCHLD);
  sigprocmask(SIG_BLOCK, &children, NULL);
  struct task task;
  task_start(&task, config, argv, envp);
  send_frame(STARTED, NULL, 0, NULL, 0);

  struct ending end = follow(channel, &task, config);
  end_all();
  drain(task.out, STDOUT);
  drain(task.err, STDERR);
  int full = 0;
  struct status status;
  group_status(&status);
  status.disk_bytes = disk_used(&full);
  end.status = status;
  if (end.reason == EXITED && (full || status.disk_bytes > config->disk_bytes)) end.reason = DISK;
  send_frame(ENDED, &end, sizeof end, NULL, 0);
  uint8_t whole = collect(config->disk_bytes);
  send_frame(DONE, &whole, 1, NULL, 0);
  wait_readable(channel); /* the host ends us; when it is gone we end by ourselves */
  power_off();
}

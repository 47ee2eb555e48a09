#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/reboot.h>
#include <unistd.h>

static int channel = -1;
static uint8_t incoming[CONFIG_MAX + 5];
static size_t received, taken;

_Noreturn void power_off(void) {
  for (;;) {
    reboot(RB_AUTOBOOT); /* QEMU was told not to start again */
    pause();
  }
}

_Noreturn void fail(enum failure what, const char *doing) {
  char text[512];
  uint8_t head = what;
  int length = snprintf(text, sizeof text, "%s: %s", doing, strerror(errno));
  if (channel < 0) dprintf(2, "%s\n", text);
  else send_frame(FAILED, &head, 1, text, length);
  if (channel >= 0) wait_readable(channel); /* the host ends us */
  power_off();
}

int channel_open(void) {
  for (int tries = 0; tries < 5000; tries++) {
    channel = open("/dev/vport0p1", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (channel < 0) channel = open("/dev/vport1p1", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    /* The port is there before the news that somebody listens at its other end. */
    struct pollfd port = {.fd = channel, .events = POLLOUT};
    if (channel >= 0 && poll(&port, 1, 0) >= 0 && !(port.revents & POLLHUP)) return channel;
    if (channel >= 0) channel = (close(channel), -1);
    usleep(1000);
  }
  fail(FAILED_GUEST, "no channel to the host");
}

static void write_all(const void *bytes, size_t size) {
  const uint8_t *at = bytes;
  while (size > 0) {
    ssize_t done = write(channel, at, size > CHUNK ? CHUNK : size);
    if (done > 0) {
      at += done;
      size -= done;
    } else if (done < 0 && errno == EAGAIN) {
      struct pollfd wait = {.fd = channel, .events = POLLOUT};
      poll(&wait, 1, -1);
      if (wait.revents & POLLHUP) power_off();
    } else if (done == 0 || errno != EINTR) {
      power_off(); /* nobody listens any more */
    }
  }
}

void send_frame(uint8_t type, const void *head, size_t head_size, const void *body,
                size_t body_size) {
  static uint8_t frame[CHUNK + 4096];
  uint32_t size = head_size + body_size;
  if (size > sizeof frame - 5) power_off();
  memcpy(frame, &size, 4);
  frame[4] = type;
  memcpy(frame + 5, head, head_size);
  if (body_size > 0) memcpy(frame + 5 + head_size, body, body_size);
  write_all(frame, size + 5);
}

int receive_frame(uint8_t *type, uint8_t **body, uint32_t *size) {
  if (taken > 0) {
    memmove(incoming, incoming + taken, received - taken);
    received -= taken;
    taken = 0;
  }
  for (;;) {
    if (received >= 5) {
      memcpy(size, incoming, 4);
      if (*size > CONFIG_MAX) power_off();
      if (received >= *size + 5) {
        *type = incoming[4];
        *body = incoming + 5;
        taken = *size + 5;
        return 1;
      }
    }
    ssize_t done = read(channel, incoming + received, sizeof incoming - received);
    if (done > 0) received += done;
    else if (done < 0 && errno == EAGAIN) return 0;
    else if (done == 0 || errno != EINTR) power_off();
  }
}

void wait_readable(int fd) {
  struct pollfd wait = {.fd = fd, .events = POLLIN};
  poll(&wait, 1, -1);
}

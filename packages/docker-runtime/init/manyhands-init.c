/*
 * The first process of every container: starts the task's program, passes signals on, reaps orphans,
 * ends everything when the run time is over, and records how it ended. No host process is needed for
 * any of that. It also carries bytes: what the task writes to the engine, and connections between the
 * container's loopback and two sockets of the host.
 *
 *   init run MAX_MS WORKDIR SERVICES -- ARGV...   SERVICES: any of e (egress), d (dial), or -
 *   init warm 0 WORKDIR SERVICES -- -             programs one after another, as the host says
 *   init dial PORT                                stdin and stdout become a connection to PORT
 *
 * Freestanding: no libc, one thread, no allocation but the rest of a write that did not fit. It has
 * the rights of the task and no others, so nothing here is a boundary; the host's side is.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

/* ---- The kernel, by number: the same calls on both architectures ---- */

#if defined(__x86_64__)
enum { SYS_read = 0, SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_munmap = 11,
       SYS_rt_sigprocmask = 14, SYS_ioctl = 16, SYS_pwrite64 = 18, SYS_getpid = 39, SYS_dup3 = 292, SYS_socket = 41,
       SYS_connect = 42, SYS_shutdown = 48, SYS_bind = 49, SYS_listen = 50, SYS_setsockopt = 54,
       SYS_getsockopt = 55, SYS_clone = 56, SYS_execve = 59, SYS_wait4 = 61, SYS_kill = 62,
       SYS_fcntl = 72, SYS_ftruncate = 77, SYS_chdir = 80, SYS_setpgid = 109, SYS_prctl = 157,
       SYS_getdents64 = 217, SYS_clock_gettime = 228, SYS_getgid = 104, SYS_getgroups = 115, SYS_exit_group = 231, SYS_openat = 257, SYS_ppoll = 271,
       SYS_accept4 = 288, SYS_signalfd4 = 289, SYS_pipe2 = 293, SYS_close_range = 436 };

static i64 sys(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
  i64 result;
  register i64 r10 __asm__("r10") = d;
  register i64 r8 __asm__("r8") = e;
  register i64 r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall begin\n");
#elif defined(__aarch64__)
enum { SYS_dup3 = 24, SYS_fcntl = 25, SYS_ioctl = 29, SYS_ftruncate = 46, SYS_chdir = 49, SYS_openat = 56,
       SYS_close = 57, SYS_pipe2 = 59, SYS_getdents64 = 61, SYS_read = 63, SYS_write = 64, SYS_pwrite64 = 68,
       SYS_ppoll = 73, SYS_signalfd4 = 74, SYS_exit_group = 94, SYS_clock_gettime = 113,
       SYS_kill = 129, SYS_rt_sigprocmask = 135, SYS_setpgid = 154, SYS_prctl = 167,
       SYS_getgroups = 158, SYS_getpid = 172, SYS_getgid = 176, SYS_socket = 198, SYS_bind = 200, SYS_listen = 201, SYS_connect = 203,
       SYS_setsockopt = 208, SYS_getsockopt = 209, SYS_shutdown = 210, SYS_munmap = 215,
       SYS_clone = 220, SYS_execve = 221, SYS_mmap = 222, SYS_accept4 = 242, SYS_wait4 = 260,
       SYS_close_range = 436 };

static i64 sys(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f) {
  register i64 x8 __asm__("x8") = n;
  register i64 x0 __asm__("x0") = a;
  register i64 x1 __asm__("x1") = b;
  register i64 x2 __asm__("x2") = c;
  register i64 x3 __asm__("x3") = d;
  register i64 x4 __asm__("x4") = e;
  register i64 x5 __asm__("x5") = f;
  __asm__ volatile("svc 0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tb begin\n");
#else
#error "no system calls for this architecture"
#endif

#define CALL(n, a, b, c, d, e, f) \
  sys((n), (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), (i64)(f))
#define CALL1(n, a) CALL(n, a, 0, 0, 0, 0, 0)
#define CALL2(n, a, b) CALL(n, a, b, 0, 0, 0, 0)
#define CALL3(n, a, b, c) CALL(n, a, b, c, 0, 0, 0)

enum { ENOENT = 2, EINTR = 4, ECHILD = 10, EAGAIN = 11, EACCES = 13, ENOTDIR = 20, EINVAL = 22,
       EINPROGRESS = 115, FOREIGN_GROUP = 4000 /* none of the kernel's */ };
enum { AT_FDCWD = -100, O_WRONLY = 1, O_NONBLOCK = 04000, O_CLOEXEC = 02000000 };
enum { AF_UNIX = 1, AF_INET = 2, STREAM = 1 | O_NONBLOCK | O_CLOEXEC, SHUT_WR = 1 };
enum { POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16 };
enum { SIGKILL = 9, SIGPIPE = 13, SIGTERM = 15, SIGCHLD = 17, SIGCONT = 18, SIGSTOP = 19,
       SIGTTIN = 21, SIGTTOU = 22 };
enum { WNOHANG = 1, PR_SET_DUMPABLE = 4, F_SETFL = 4, F_GETPIPE_SZ = 1032, TIOCSPGRP = 0x5410 };

struct pollfd { int fd; short events; short revents; };
struct timespec { i64 sec; i64 nsec; };
struct sockaddr_un { u16 family; char path[108]; };
struct sockaddr_in { u16 family; u8 port[2]; u8 address[4]; u8 zero[8]; };

void *memset(void *to, int value, u64 length) {
  for (u64 i = 0; i < length; i += 1) ((u8 *)to)[i] = (u8)value;
  return to;
}

void *memcpy(void *to, const void *from, u64 length) {
  for (u64 i = 0; i < length; i += 1) ((u8 *)to)[i] = ((const u8 *)from)[i];
  return to;
}

static u64 length_of(const char *text) {
  u64 length = 0;
  while (text[length] != 0) length += 1;
  return length;
}

static int same(const char *a, const char *b) {
  while (*a != 0 && *a == *b) { a += 1; b += 1; }
  return *a == *b;
}

static int contains(const char *text, char wanted) {
  for (; *text != 0; text += 1) if (*text == wanted) return 1;
  return 0;
}

static u64 number_of(const char *text) {
  u64 value = 0;
  for (; *text >= '0' && *text <= '9'; text += 1) value = value * 10 + (u64)(*text - '0');
  return value;
}

static void leave(int code) {
  for (;;) CALL1(SYS_exit_group, code);
}

static i64 now_ms(void) {
  struct timespec time;
  CALL2(SYS_clock_gettime, 1 /* monotonic */, &time);
  return time.sec * 1000 + time.nsec / 1000000;
}

static void shut(int fd) { CALL1(SYS_close, fd); }

/* ---- The record: one line in a file that the host reads ---- */

static int record_fd = -1;
static i64 ran_ms;

static u64 put_text(char *to, u64 at, const char *text) {
  while (*text != 0) to[at++] = *text++;
  return at;
}

static u64 put_number(char *to, u64 at, u64 value) {
  char digits[20];
  int count = 0;
  do { digits[count++] = (char)('0' + value % 10); value /= 10; } while (value > 0);
  while (count > 0) to[at++] = digits[--count];
  return at;
}

/* Always the same length, so that one write replaces the line before, whole. */
static void record(const char *what, const char *field, int value) {
  enum { LINE = 96 };
  char line[LINE + 64];
  u64 at = put_text(line, 0, "{\"v\":1,\"state\":\"");
  at = put_text(line, at, what);
  at = put_text(line, at, "\"");
  if (field != 0) {
    at = put_text(line, at, ",\"");
    at = put_text(line, at, field);
    at = put_text(line, at, "\":");
    at = put_number(line, at, (u64)value);
  }
  at = put_text(line, at, ",\"ms\":");
  at = put_number(line, at, (u64)ran_ms);
  at = put_text(line, at, "}");
  while (at < LINE - 1) line[at++] = ' ';
  line[at++] = '\n';
  CALL(SYS_pwrite64, record_fd, line, at, 0, 0, 0);
  CALL2(SYS_ftruncate, record_fd, at);
}

/* ---- Connections: bytes both ways, half-closes kept apart, nothing read that cannot be written ---- */

/* The host allows fewer; both sides of each count into the container's 1,024 open files. */
enum { LINKS = 240, CHUNK = 65536, WAITING = 4 };
enum { FREE, ASKED, CONNECTING, OPEN };

struct flow {
  u8 *rest;   /* what a write did not take; nothing is read while there is some */
  u32 from, to;
  u8 ended;   /* the source has no more */
  u8 closed;  /* the target was told so */
};

/* Side 0 is the host's, side 1 the container's; flow 0 goes from side 0 to side 1. */
struct link {
  u8 state;
  u8 asked;      /* bytes of the port that have come */
  u8 dialed;     /* the host knows it by its index */
  u8 port[2];
  int in[2], out[2];
  struct flow flow[2];
};

static struct link links[LINKS];
static int link_count;      /* links beyond this were never used */
static u8 chunk[CHUNK];
static int listener = -1;   /* 127.0.0.1:3128 */
static int presence = -1;   /* tells the host which connections ended properly */
static int waiting;         /* links in the state ASKED */
static int serves_dial;

static struct link *new_link(int state, int host, int inside) {
  for (int i = 0; i < LINKS; i += 1) {
    struct link *link = &links[i];
    if (link->state != FREE) continue;
    if (i >= link_count) link_count = i + 1;
    memset(link, 0, sizeof *link);
    link->state = (u8)state;
    link->in[0] = link->out[0] = host;
    link->in[1] = link->out[1] = inside;
    return link;
  }
  return 0;
}

static int full(void) {
  if (link_count < LINKS) return 0;
  for (int i = 0; i < LINKS; i += 1) if (links[i].state == FREE) return 0;
  return 1;
}

static void drop(struct link *link) {
  if (link->state == ASKED) waiting -= 1;
  for (int side = 0; side < 2; side += 1) {
    if (link->in[side] >= 0) shut(link->in[side]);
    if (link->out[side] >= 0 && link->out[side] != link->in[side]) shut(link->out[side]);
    if (link->flow[side].rest != 0) CALL2(SYS_munmap, link->flow[side].rest, CHUNK);
  }
  memset(link, 0, sizeof *link);
}

static int connect_unix(const char *path) {
  struct sockaddr_un address;
  memset(&address, 0, sizeof address);
  address.family = AF_UNIX;
  memcpy(address.path, path, length_of(path));
  int fd = (int)CALL3(SYS_socket, AF_UNIX, STREAM, 0);
  if (fd < 0) return -1;
  if (CALL3(SYS_connect, fd, &address, sizeof address) == 0) return fd;
  shut(fd);
  return -1;
}

static struct sockaddr_in loopback(u32 port) {
  struct sockaddr_in address = { AF_INET, { (u8)(port >> 8), (u8)port }, { 127, 0, 0, 1 }, { 0 } };
  return address;
}

static void listen_for_egress(void) {
  struct sockaddr_in address = loopback(3128);
  int one = 1;
  listener = (int)CALL3(SYS_socket, AF_INET, STREAM, 0);
  CALL(SYS_setsockopt, listener, 1 /* SOL_SOCKET */, 2 /* SO_REUSEADDR */, &one, sizeof one, 0);
  if (CALL3(SYS_bind, listener, &address, sizeof address) != 0) leave(125);
  if (CALL2(SYS_listen, listener, 128) != 0) leave(125);
}

/* A socket's end looks the same after a reset or a kill; so a proper one is told apart, and before. */
static void tell_end(struct link *link) {
  u8 index = (u8)(link - links);
  if (link->dialed && presence >= 0) CALL3(SYS_write, presence, &index, 1);
}

/* A few connections wait at the host, so that a dial costs one message there and one back. */
static void keep_waiting(void) {
  if (presence < 0) {
    presence = connect_unix("/.manyhands/dial.sock");
    if (presence < 0) return;
    if (CALL3(SYS_write, presence, "P", 1) != 1) { shut(presence); presence = -1; return; }
  }
  while (waiting < WAITING && !full()) {
    int fd = connect_unix("/.manyhands/dial.sock");
    if (fd < 0) return;
    struct link *link = new_link(ASKED, fd, -1);
    u8 hello[2] = { 'W', (u8)(link - links) };
    link->dialed = 1;
    waiting += 1;
    if (CALL3(SYS_write, fd, hello, 2) != 2) { drop(link); return; }
  }
}

static void begin_local(struct link *link) {
  struct sockaddr_in address = loopback((u32)link->port[0] << 8 | link->port[1]);
  int fd = (int)CALL3(SYS_socket, AF_INET, STREAM, 0);
  i64 result = fd < 0 ? fd : CALL3(SYS_connect, fd, &address, sizeof address);
  link->in[1] = link->out[1] = fd < 0 ? -1 : fd;
  if (result == 0 || result == -EINPROGRESS) { link->state = CONNECTING; return; }
  u8 error = (u8)-result;
  CALL3(SYS_write, link->out[0], &error, 1);
  drop(link);
}

/* One answer byte: 0, or the error number of the connection inside. */
static void end_local(struct link *link) {
  int error = 0;
  u32 size = sizeof error;
  CALL(SYS_getsockopt, link->in[1], 1 /* SOL_SOCKET */, 4 /* SO_ERROR */, &error, &size, 0);
  int one = 1;
  CALL(SYS_setsockopt, link->in[1], 6 /* TCP */, 1 /* NODELAY */, &one, sizeof one, 0);
  u8 answer = (u8)error;
  if (CALL3(SYS_write, link->out[0], &answer, 1) != 1 || error != 0) { drop(link); return; }
  link->state = OPEN;
}

static void take_port(struct link *link) {
  i64 got = CALL3(SYS_read, link->in[0], link->port + link->asked, 2 - link->asked);
  if (got == -EAGAIN || got == -EINTR) return;
  if (got <= 0) { drop(link); return; }
  link->asked = (u8)(link->asked + got);
  if (link->asked < 2) return;
  waiting -= 1;
  link->state = CONNECTING;
  begin_local(link);
}

static void end_flow(struct link *link, int way) {
  struct flow *flow = &link->flow[way];
  flow->ended = flow->closed = 1;
  flow->from = flow->to = 0;
}

static void write_rest(struct link *link, int way) {
  struct flow *flow = &link->flow[way];
  i64 wrote = CALL3(SYS_write, link->out[!way], flow->rest + flow->from, flow->to - flow->from);
  if (wrote == -EAGAIN || wrote == -EINTR) return;
  /* Nobody reads there any more; what comes the other way is still carried. */
  if (wrote < 0) { end_flow(link, way); return; }
  flow->from += (u32)wrote;
  if (flow->from == flow->to) flow->from = flow->to = 0;
}

/* Returns 0 when the connection was reset under us. */
static int carry(struct link *link, int way) {
  struct flow *flow = &link->flow[way];
  i64 got = CALL3(SYS_read, link->in[way], chunk, CHUNK);
  if (got == -EAGAIN || got == -EINTR) return 1;
  if (got < 0) return 0;
  if (got == 0) { flow->ended = 1; return 1; }
  i64 wrote = CALL3(SYS_write, link->out[!way], chunk, got);
  if (wrote == -EAGAIN || wrote == -EINTR) wrote = 0;
  if (wrote < 0) { end_flow(link, way); return 1; }
  if (wrote == got) return 1;
  if (flow->rest == 0) {
    i64 memory = CALL(SYS_mmap, 0, CHUNK, 3 /* read, write */, 0x22 /* private, anonymous */, -1, 0);
    if (memory < 0) return 0;
    flow->rest = (u8 *)memory;
  }
  flow->from = 0;
  flow->to = (u32)(got - wrote);
  memcpy(flow->rest, chunk + wrote, flow->to);
  return 1;
}

static struct pollfd polled[LINKS * 2 + 8];
static u8 polled_side[LINKS * 2 + 8];
static u16 polled_link[LINKS * 2 + 8];

static int add(int count, int fd, int events, int link, int side) {
  polled[count].fd = fd;
  polled[count].events = (short)events;
  polled[count].revents = 0;
  polled_link[count] = (u16)link;
  polled_side[count] = (u8)side;
  return count + 1;
}

static int wants_read(struct link *link, int side) {
  struct flow *flow = &link->flow[side];
  return !flow->ended && flow->to == 0;
}

static int wants_write(struct link *link, int side) { return link->flow[!side].to > 0; }

static int add_links(int count) {
  for (int i = 0; i < link_count; i += 1) {
    struct link *link = &links[i];
    if (link->state == ASKED) count = add(count, link->in[0], POLLIN, i, 0);
    if (link->state == CONNECTING) count = add(count, link->in[1], POLLOUT, i, 1);
    if (link->state != OPEN) continue;
    for (int side = 0; side < 2; side += 1) {
      int read = wants_read(link, side) ? POLLIN : 0;
      int write = wants_write(link, side) ? POLLOUT : 0;
      if (link->in[side] != link->out[side]) {
        if (read) count = add(count, link->in[side], read, i, side);
        if (write) count = add(count, link->out[side], write, i, side);
      } else if (read || write || link->flow[side].ended) {
        /* With nothing wanted, the poll tells when a side that has ended has gone altogether. A side
           that we do not read for now is left out: it would answer at once, again and again. */
        count = add(count, link->in[side], read | write, i, side);
      }
    }
  }
  return count;
}

static void serve(struct link *link, int side, int events) {
  if (link->state == ASKED) { take_port(link); return; }
  if (link->state == CONNECTING) { end_local(link); return; }
  if (link->state != OPEN) return;
  if (wants_write(link, side) && (events & (POLLOUT | POLLHUP | POLLERR))) write_rest(link, !side);
  else if (wants_read(link, side)) {
    if ((events & (POLLIN | POLLHUP | POLLERR)) && !carry(link, side)) { drop(link); return; }
  } else if ((events & (POLLHUP | POLLERR)) && link->flow[side].ended) {
    drop(link);
    return;
  }
  for (int way = 0; way < 2; way += 1) {
    struct flow *flow = &link->flow[way];
    if (!flow->ended || flow->closed || flow->to > 0) continue;
    flow->closed = 1;
    if (way == 1) tell_end(link);
    if (link->in[!way] == link->out[!way]) CALL2(SYS_shutdown, link->out[!way], SHUT_WR);
    else { shut(link->out[!way]); link->out[!way] = -1; }
  }
  if (link->flow[0].closed && link->flow[1].closed) drop(link);
}

static void accept_egress(void) {
  while (!full()) {
    int inside = (int)CALL(SYS_accept4, listener, 0, 0, O_NONBLOCK | O_CLOEXEC, 0, 0);
    if (inside < 0) return;
    int host = connect_unix("/.manyhands/egress.sock");
    /* The host's process is away: its clients are refused, and may try again. */
    if (host < 0) { shut(inside); continue; }
    new_link(OPEN, host, inside);
  }
}

/* ---- Output: what the task writes goes through us, so that many small writes become few ---- */

/* Each write costs the engine and the host far more than the task; here they cost the task alone. */
enum { OUTPUT_PAUSE_MS = 20 };

struct output {
  int from, to;   /* from is -1 once nothing more can come */
  u32 at, end;    /* what was read and is not written yet */
  i64 pause;      /* shorter for a pipe that holds less, as users of many pipes get */
  i64 due;        /* when it is read again */
  u8 bytes[CHUNK];
};

static struct output outputs[2];

/* The end of a pipe that the task gets in the place of our own output; -1 without. */
static int open_output(int number) {
  int ends[2];
  if (CALL2(SYS_pipe2, ends, O_CLOEXEC) != 0) return -1;
  CALL3(SYS_fcntl, ends[0], F_SETFL, O_NONBLOCK);
  CALL3(SYS_fcntl, number, F_SETFL, O_NONBLOCK);
  struct output *output = &outputs[number - 1];
  output->from = ends[0];
  output->to = number;
  i64 size = CALL2(SYS_fcntl, ends[0], F_GETPIPE_SZ);
  output->pause = size > 0 && size < CHUNK ? OUTPUT_PAUSE_MS * size / CHUNK : OUTPUT_PAUSE_MS;
  return ends[1];
}

/* Returns 0 when nothing could be carried: for now, or for ever. */
static int carry_output(struct output *output) {
  if (output->at == output->end) {
    i64 got = CALL3(SYS_read, output->from, output->bytes, CHUNK);
    if (got == -EAGAIN || got == -EINTR) return 0;
    /* All who wrote are gone. */
    if (got <= 0) { shut(output->from); output->from = -1; return 0; }
    output->at = 0;
    output->end = (u32)got;
  }
  i64 wrote = CALL3(SYS_write, output->to, output->bytes + output->at, output->end - output->at);
  if (wrote == -EAGAIN || wrote == -EINTR) return 0;
  /* Nobody reads: the task is told so by a signal. */
  if (wrote < 0) { output->at = output->end; shut(output->from); output->from = -1; return 0; }
  output->at += (u32)wrote;
  return 1;
}

static int add_output(int count, struct output *output) {
  int waits = output->at < output->end;
  return add(count, waits ? output->to : output->from, waits ? POLLOUT : POLLIN, 0, 0);
}

static int add_outputs(int count, i64 now) {
  for (int i = 0; i < 2; i += 1) {
    if (outputs[i].from >= 0 && outputs[i].due <= now) count = add_output(count, &outputs[i]);
  }
  return count;
}

static i64 until_output(i64 now, i64 timeout_ms) {
  for (int i = 0; i < 2; i += 1) {
    i64 left = outputs[i].due - now;
    if (outputs[i].from >= 0 && left > 0 && left < timeout_ms) timeout_ms = left;
  }
  return timeout_ms;
}

static void serve_outputs(int from, int count, i64 now) {
  for (; from < count; from += 1) {
    if (polled[from].revents == 0) continue;
    for (int i = 0; i < 2; i += 1) {
      struct output *output = &outputs[i];
      if (output->from < 0 || (polled[from].fd != output->from && polled[from].fd != output->to)) continue;
      carry_output(output);
      if (output->at == output->end) output->due = now + output->pause;
    }
  }
}

static void wait_for_events(int count, i64 timeout_ms) {
  struct timespec timeout = { timeout_ms / 1000, (timeout_ms % 1000) * 1000000 };
  CALL(SYS_ppoll, polled, count, &timeout, 0, 8, 0);
}

/* All but us, and only in a container of our own; elsewhere that would be everything. */
static int kill_all(void) {
  if (CALL1(SYS_getpid, 0) != 1) return 0;
  CALL2(SYS_kill, -1, SIGKILL);
  return 1;
}

/* The program has gone: what it wrote last is carried as fast as the engine takes it. */
static void carry_last_words(i64 left_ms) {
  i64 until = now_ms() + left_ms;
  for (;;) {
    int count = 0;
    for (int i = 0; i < 2; i += 1) {
      struct output *output = &outputs[i];
      while (output->from >= 0 && now_ms() < until && carry_output(output)) continue;
      if (output->from >= 0) count = add_output(count, output);
    }
    if (count == 0 || now_ms() >= until) return;
    wait_for_events(count, 100);
    /* Who forks all the time may have got away where signals are sent one after the other. */
    kill_all();
  }
}

/* ---- The task's program ---- */

static const char *variable(char **environment, const char *name) {
  u64 length = length_of(name);
  for (; *environment != 0; environment += 1) {
    const char *entry = *environment;
    u64 i = 0;
    while (i < length && entry[i] == name[i]) i += 1;
    if (i == length && entry[i] == '=') return entry + length + 1;
  }
  return 0;
}

/* As execvp, without its resort to a shell. Returns the error number. */
static int execute(char **argv, char **environment) {
  static char path[4096];
  if (contains(argv[0], '/')) return (int)-CALL3(SYS_execve, argv[0], argv, environment);
  if (argv[0][0] == 0) return ENOENT;
  const char *list = variable(environment, "PATH");
  if (list == 0) list = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  int error = ENOENT;
  u64 name = length_of(argv[0]);
  for (;;) {
    u64 length = 0;
    while (list[length] != 0 && list[length] != ':') length += 1;
    if (length + name + 2 <= sizeof path) {
      memcpy(path, list, length);
      u64 at = length;
      if (length > 0) path[at++] = '/';
      memcpy(path + at, argv[0], name + 1);
      int failed = (int)-CALL3(SYS_execve, path, argv, environment);
      if (failed == EACCES) error = EACCES;
      else if (failed != ENOENT && failed != ENOTDIR) return failed;
    }
    if (list[length] == 0) return error;
    list += length + 1;
  }
}

static void fail_to_start(int error) {
  record("cannot-start", "error", error);
  leave(error == ENOENT || error == ENOTDIR ? 127 : 126);
}

/*
 * An engine looks for the number of our group among the names of the image's groups first, so that an
 * image can make it another one. The task gets our own or nothing.
 */
static int has_foreign_group(void) {
  static int groups[64];
  i64 count = CALL2(SYS_getgroups, 64, groups);
  if (count < 0) return 1;
  int own = (int)CALL1(SYS_getgid, 0);
  for (i64 i = 0; i < count; i += 1) if (groups[i] != own) return 1;
  return own == 0;
}

/* What the child does between its birth and its program. Does not return. */
static void become(const char *directory, char **argv, char **environment, int *written, int report) {
  /* In the foreground of a terminal, when there is one. */
  CALL2(SYS_setpgid, 0, 0);
  int self = (int)CALL1(SYS_getpid, 0);
  CALL3(SYS_ioctl, 0, TIOCSPGRP, &self);
  int error = (int)-CALL1(SYS_chdir, directory);
  u64 none = 0;
  CALL(SYS_rt_sigprocmask, 2 /* set */, &none, 0, sizeof none, 0, 0);
  for (int i = 0; i < 2; i += 1) CALL3(SYS_dup3, written[i], i + 1, 0);
  if (error == 0) error = execute(argv, environment);
  CALL3(SYS_write, report, &error, sizeof error);
  leave(127);
}

/* The number of the child's program, or less than 0: the error for which there is none. */
static i64 start(const char *directory, char **argv, char **environment) {
  int report[2];
  if (CALL2(SYS_pipe2, report, O_CLOEXEC) != 0) return -EAGAIN;
  int written[2] = { open_output(1), open_output(2) };
  i64 child = written[0] < 0 || written[1] < 0 ? -EAGAIN : CALL1(SYS_clone, SIGCHLD);
  if (child == 0) become(directory, argv, environment, written, report[1]);
  shut(report[1]);
  for (int i = 0; i < 2; i += 1) if (written[i] >= 0) shut(written[i]);
  int error = 0;
  i64 got = 0;
  if (child > 0) do got = CALL3(SYS_read, report[0], &error, sizeof error); while (got == -EINTR);
  shut(report[0]);
  return got == sizeof error ? -error : child;
}

/* ---- The life of the container ---- */

/* How the program ended, as wait tells it; -1 while it runs. */
static int reap(int child) {
  int status = 0, end = -1;
  for (;;) {
    i64 pid = CALL(SYS_wait4, -1, &status, WNOHANG, 0, 0, 0);
    if (pid <= 0) return end;
    if (pid == child) end = status;
  }
}

static int pass_signals(int signals, int child) {
  u8 info[128];
  int end = -1;
  while (CALL3(SYS_read, signals, info, sizeof info) == sizeof info) {
    u32 signal = *(u32 *)info;
    if (signal == SIGCHLD) {
      int status = reap(child);
      if (status >= 0) end = status;
    } else if (signal != SIGPIPE && signal != SIGTTIN && signal != SIGTTOU && end < 0) {
      CALL2(SYS_kill, child, signal);
    }
  }
  return end;
}

static void serve_links(int from, int count) {
  for (int i = from; i < count; i += 1) {
    if (polled[i].revents != 0) serve(&links[polled_link[i]], polled_side[i], polled[i].revents);
  }
}

static int any_open(void) {
  for (int i = 0; i < link_count; i += 1) if (links[i].state == OPEN) return 1;
  return 0;
}

/* The program has gone; what it said last on connections is still on its way through us. */
static void drain(void) {
  i64 until = now_ms() + 500;
  while (any_open() && now_ms() < until) {
    int count = add_links(0);
    wait_for_events(count, 50);
    serve_links(0, count);
  }
}

static void finish(int status, i64 left_ms) {
  int signal = status & 0x7f, code = status >> 8 & 0xff;
  if (signal == 0) record("exited", "code", code);
  else record("exited", "signal", signal);
  /* First of all: a connection that is cut by our killing its server is not told as a proper end. */
  drain();
  /* With the container ends whatever the program has left behind; it would keep our pipes open. */
  carry_last_words(kill_all() ? left_ms : 500);
  leave(signal == 0 ? code : 128 + signal);
}

/* How often the time is looked at, and how late we may be without having been frozen. */
enum { LOOK_MS = 500, LATE_MS = 250 };

static void run(i64 max_ms, int child, int signals) {
  i64 last = now_ms();
  for (;;) {
    i64 left = max_ms - ran_ms;
    i64 timeout = left < LOOK_MS ? (left < 0 ? 0 : left) : LOOK_MS;
    if (serves_dial) {
      if (presence < 0 || waiting < WAITING) keep_waiting();
      if (presence < 0 && timeout > 200) timeout = 200;
    }
    int count = add(0, signals, POLLIN, 0, 0);
    int listens = listener >= 0 && !full();
    if (listens) count = add(count, listener, POLLIN, 0, 0);
    int present = presence >= 0;
    if (present) count = add(count, presence, POLLIN, 0, 0);
    int first = count;
    int linked = count = add_links(count);
    count = add_outputs(count, last);
    timeout = until_output(last, timeout);
    wait_for_events(count, timeout);
    /* A step much longer than any wait is a time in which we were frozen. */
    i64 now = now_ms(), step = now - last;
    ran_ms += step > LOOK_MS + LATE_MS ? LOOK_MS + LATE_MS : step;
    last = now;
    if (polled[0].revents != 0) {
      int status = pass_signals(signals, child);
      if (status >= 0) finish(status, left);
    }
    if (ran_ms >= max_ms) {
      record("max-runtime", 0, 0);
      if (!kill_all()) CALL2(SYS_kill, child, SIGKILL);
      carry_last_words(500);
      leave(128 + SIGKILL);
    }
    /* The host says nothing there: it has gone, and comes back with another listener. */
    if (present && polled[first - 1].revents != 0) { shut(presence); presence = -1; }
    serve_links(first, linked);
    serve_outputs(linked, count, now);
    if (listens && polled[1].revents != 0) accept_egress();
  }
}

/* ---- Warm: programs one after another, as the host says over a connection ---- */

/*
 * Ours is the one connection that the host takes, made before any other process exists; it is closed in
 * every program, and nobody may take it from us. Frames both ways: length of what follows, kind, content.
 *
 *   from the host   R  run: milliseconds (8 bytes), whether it is the setup (1), counts of arguments and
 *                      of variables (4 each), and those, each ended by a zero byte
 *                   K  signal (4) for the program that runs
 *   to the host     H  here · S started · C error (4): cannot start · 1, 2 output
 *                   E  ended: as wait tells it (4), flags (4): 1 some could not be ended, 2 out of time,
 *                      4 processes of the setup go on
 */
enum { FRAME = 2 << 20, STRINGS = 16384, PROCESSES = 4096, PLACES = 16384 };
enum { LEFT_SOME = 1, OUT_OF_TIME = 2, RESIDENTS = 4 };
enum { CLEAN_MS = 2000, IDLE_MS = 60000 };

static u8 frame[FRAME];
static u32 frame_at;
static char *words[STRINGS];
static u8 reply[5 + CHUNK];
static u32 reply_at, reply_end;
static int host = -1;       /* the connection */
static int warm_child;      /* the program that runs; 0: none */
static int is_setup;
static int residents;       /* processes of the setup that go on */
static int quiet_fds[2] = { -1, -1 };

/* Only when there is nothing on its way. */
static void tell_host(u8 kind, const void *content, u32 length) {
  u32 whole = length + 1;
  memcpy(reply, &whole, 4);
  reply[4] = kind;
  if (content != 0) memcpy(reply + 5, content, length);
  reply_at = 0;
  reply_end = 5 + length;
}

static void leave_host(void) {
  kill_all();
  leave(0);
}

static void write_reply(void) {
  if (reply_at == reply_end) return;
  i64 wrote = CALL3(SYS_write, host, reply + reply_at, reply_end - reply_at);
  if (wrote == -EAGAIN || wrote == -EINTR) return;
  if (wrote < 0) leave_host();
  reply_at += (u32)wrote;
}

/* Everybody here but us, from /proc: who began when, and of whom. */
struct process { int pid, parent; u64 began; u8 mark; };
enum { UNKNOWN, RESIDENT, STRANGER };

static struct process processes[PROCESSES], known[PROCESSES];
static u16 places[PLACES];  /* of a process by its number; 0: none */
static int process_count, known_count;

static u32 place_of(int pid, const struct process *list) {
  u32 at = (u32)pid % PLACES;
  while (places[at] != 0 && list[places[at] - 1].pid != pid) at = (at + 1) % PLACES;
  return at;
}

/* After the name, which may hold anything: state, parent, and the 18th from there its beginning. */
static int read_process(int proc, const char *name, struct process *process) {
  char path[32], text[1024];
  u64 length = put_text(path, 0, name);
  length = put_text(path, length, "/stat");
  path[length] = 0;
  int fd = (int)CALL(SYS_openat, proc, path, O_CLOEXEC, 0, 0, 0);
  if (fd < 0) return 0;
  i64 got = CALL3(SYS_read, fd, text, sizeof text - 1);
  shut(fd);
  if (got <= 0) return 0;
  text[got] = 0;
  i64 at = got;
  while (at > 0 && text[at] != ')') at -= 1;
  process->pid = (int)number_of(name);
  process->mark = UNKNOWN;
  int field = 2;
  for (; text[at] != 0; at += 1) {
    if (text[at] != ' ') continue;
    field += 1;
    if (field == 4) process->parent = (int)number_of(text + at + 1);
    if (field == 22) { process->began = number_of(text + at + 1); return 1; }
  }
  return 0;
}

/* Less than 0: it could not be done. */
static int list_processes(struct process *list) {
  static char entries[8192] __attribute__((aligned(8)));
  int proc = (int)CALL(SYS_openat, AT_FDCWD, "/proc", O_CLOEXEC, 0, 0, 0);
  if (proc < 0) return -1;
  int count = 0;
  i64 got;
  while ((got = CALL3(SYS_getdents64, proc, entries, sizeof entries)) > 0) {
    for (i64 at = 0; at < got; at += *(u16 *)(entries + at + 16)) {
      const char *name = entries + at + 19;
      if (name[0] < '0' || name[0] > '9' || same(name, "1")) continue;
      if (count == PROCESSES) { shut(proc); return -1; }
      if (read_process(proc, name, &list[count])) count += 1;
    }
  }
  shut(proc);
  return got < 0 ? -1 : count;
}

/* Whether it, or one that it comes from, was here before the program began. */
static int is_resident(struct process *process) {
  struct process *one = process;
  int steps = 0;
  while (one->mark == UNKNOWN && steps <= process_count) {
    for (int i = 0; i < known_count; i += 1) {
      if (known[i].pid == one->pid && known[i].began == one->began) one->mark = RESIDENT;
    }
    if (one->mark != UNKNOWN) break;
    u32 at = place_of(one->parent, processes);
    if (places[at] == 0) one->mark = STRANGER;
    else one = &processes[places[at] - 1];
    steps += 1;
  }
  u8 mark = one->mark == RESIDENT ? RESIDENT : STRANGER;
  struct process *end = one;
  for (one = process; one != end && one->mark == UNKNOWN;) {
    one->mark = mark;
    u32 at = place_of(one->parent, processes);
    if (places[at] == 0) break;
    one = &processes[places[at] - 1];
  }
  return mark == RESIDENT;
}

/* Ends all that does not belong to the setup. Returns how many there were; less than 0: unknown. */
static int kill_strangers(void) {
  /* Standing still, none can have a child that we do not see. */
  CALL2(SYS_kill, -1, SIGSTOP);
  process_count = list_processes(processes);
  if (process_count < 0) return -1;
  memset(places, 0, sizeof places);
  for (int i = 0; i < process_count; i += 1) places[place_of(processes[i].pid, processes)] = (u16)(i + 1);
  int strangers = 0;
  for (int i = 0; i < process_count; i += 1) {
    if (is_resident(&processes[i])) continue;
    CALL2(SYS_kill, processes[i].pid, SIGKILL);
    strangers += 1;
  }
  return strangers;
}

/* Returns whether we have no children any more. */
static int reap_all(void) {
  for (;;) {
    int status;
    i64 pid = CALL(SYS_wait4, -1, &status, WNOHANG, 0, 0, 0);
    if (pid == -ECHILD) return 1;
    if (pid <= 0) return 0;
  }
}

/* The program has ended: whatever else it began ends too. Returns whether that is done. */
static int end_strangers(void) {
  if (CALL1(SYS_getpid, 0) != 1) return 1;
  i64 until = now_ms() + CLEAN_MS;
  for (;;) {
    int left;
    if (residents) {
      left = kill_strangers();
      reap_all();
      if (left < 0) return 0;
    } else {
      kill_all();
      left = !reap_all();
    }
    if (left == 0) break;
    if (now_ms() >= until) return 0;
    wait_for_events(0, 1);
  }
  if (residents) CALL2(SYS_kill, -1, SIGCONT);
  return 1;
}

/* Who is here now, while no program runs, belongs to the setup. Returns 0 when that cannot be told. */
static int note_residents(void) {
  int count = list_processes(known);
  known_count = count < 0 ? 0 : count;
  residents = known_count > 0;
  return count >= 0;
}

static u64 word_at(u32 at) { return *(u64 *)(frame + at); }

/* The program of a frame; 0 arguments when the frame is not what it should be. */
static char **program_of(char **environment, char ***variables) {
  u32 end = 4 + *(u32 *)frame;
  if (end < 22) return 0;
  u32 arguments = *(u32 *)(frame + 14), given = *(u32 *)(frame + 18);
  if (arguments == 0 || arguments > STRINGS / 4 || given > STRINGS / 4) return 0;
  u32 at = 22, count = 0;
  for (u32 i = 0; i < arguments + given; i += 1) {
    if (i == arguments) words[count++] = 0;
    words[count++] = (char *)frame + at;
    while (at < end && frame[at] != 0) at += 1;
    if (at == end) return 0;
    at += 1;
  }
  if (given == 0) words[count++] = 0;
  *variables = words + arguments + 1;
  /* The container's own, where the program's do not say otherwise. */
  for (; *environment != 0 && count < STRINGS - 1; environment += 1) {
    u64 length = 0;
    while ((*environment)[length] != 0 && (*environment)[length] != '=') length += 1;
    int said = 0;
    for (u32 i = 0; i < given && !said; i += 1) {
      const char *word = (*variables)[i];
      u64 same_until = 0;
      while (same_until <= length && word[same_until] == (*environment)[same_until]) same_until += 1;
      said = same_until > length;
    }
    if (!said) words[count++] = *environment;
  }
  words[count] = 0;
  return words;
}

static i64 warm_max_ms;
static u32 ended_flags;
static int ended_status = -1;   /* of a program whose last words are on their way */

static void begin_program(const char *directory, char **environment) {
  char **variables, **argv = program_of(environment, &variables);
  /* The host speaks like this to nobody. */
  if (argv == 0 || warm_child != 0 || ended_status >= 0) leave_host();
  warm_max_ms = (i64)word_at(5);
  is_setup = frame[13];
  ran_ms = 0;
  ended_flags = 0;
  int counted = !residents || note_residents();
  i64 child = counted ? start(directory, argv, variables) : -EAGAIN;
  for (int i = 0; i < 2; i += 1) { outputs[i].at = outputs[i].end = 0; outputs[i].due = 0; }
  if (child < 0) {
    for (int i = 0; i < 2; i += 1) if (outputs[i].from >= 0) { shut(outputs[i].from); outputs[i].from = -1; }
    int error = (int)-child;
    tell_host('C', &error, 4);
    return;
  }
  warm_child = (int)child;
  tell_host('S', 0, 0);
}

static void end_program(int status) {
  warm_child = 0;
  ended_status = status;
  if (is_setup) {
    /* What it has left running may go on to write, to nobody. */
    if (!note_residents()) ended_flags |= LEFT_SOME;
    return;
  }
  if (!end_strangers()) ended_flags |= LEFT_SOME;
}

/* Returns 0 when a frame is not whole yet. */
static int take_frame(const char *directory, char **environment) {
  if (frame_at >= 4 && *(u32 *)frame > FRAME - 4) leave_host();
  u32 want = frame_at < 4 ? 4 : 4 + *(u32 *)frame;
  i64 got = CALL3(SYS_read, host, frame + frame_at, want - frame_at);
  if (got == -EAGAIN || got == -EINTR) return 0;
  /* The host is gone, or lets go of us: nobody would tell how anything here ends. */
  if (got <= 0) leave_host();
  frame_at += (u32)got;
  if (frame_at < 4) return 1;
  if (frame_at < 4 + *(u32 *)frame) return 1;
  if (*(u32 *)frame == 0) leave_host();
  if (frame[4] == 'R') begin_program(directory, environment);
  else if (frame[4] == 'K' && frame_at == 9 && warm_child > 0) CALL2(SYS_kill, warm_child, *(int *)(frame + 5));
  frame_at = 0;
  return 1;
}

/* Returns 0 when there is nothing to carry now. */
static int carry_to_host(int number) {
  struct output *output = &outputs[number - 1];
  if (output->from < 0 || reply_at < reply_end) return 0;
  i64 got = CALL3(SYS_read, output->from, reply + 5, CHUNK);
  if (got == -EAGAIN || got == -EINTR) return 0;
  if (got <= 0) { shut(output->from); output->from = -1; return 0; }
  tell_host((u8)('0' + number), 0, (u32)got);
  write_reply();
  return 1;
}

/* What it wrote last, and then that it has ended. */
static void finish_program(void) {
  while (carry_to_host(1) || carry_to_host(2)) if (reply_at < reply_end) return;
  if (reply_at < reply_end) return;
  for (int i = 0; i < 2; i += 1) {
    if (outputs[i].from < 0) continue;
    if (is_setup && quiet_fds[i] < 0) quiet_fds[i] = outputs[i].from;
    else shut(outputs[i].from);
    outputs[i].from = -1;
  }
  u32 end[2] = { (u32)ended_status, ended_flags | (residents ? RESIDENTS : 0) };
  ended_status = -1;
  tell_host('E', end, sizeof end);
  write_reply();
}

/* What the setup has left running must not wait for us, or die because nobody reads. */
static void drain_quiet(int i) {
  if (CALL3(SYS_read, quiet_fds[i], chunk, CHUNK) != 0) return;
  shut(quiet_fds[i]);
  quiet_fds[i] = -1;
}

/* Only from outside may we be told to go: the programs here have our user. */
static void take_signals(int signals) {
  u8 info[128];
  while (CALL3(SYS_read, signals, info, sizeof info) == sizeof info) {
    if (*(u32 *)info == SIGTERM && *(u32 *)(info + 12) == 0) leave_host();
    if (*(u32 *)info != SIGCHLD) continue;
    int status = reap(warm_child == 0 ? -1 : warm_child);
    if (status >= 0 && warm_child != 0) end_program(status);
  }
}

static void run_warm(const char *directory, char **environment, int signals) {
  host = connect_unix("/.manyhands/host.sock");
  if (host < 0) leave(125);
  outputs[0].from = outputs[1].from = -1;
  tell_host('H', 0, 0);
  i64 last = now_ms();
  for (;;) {
    i64 timeout = IDLE_MS;
    if (warm_child > 0) {
      i64 left = warm_max_ms - ran_ms;
      timeout = left < LOOK_MS ? (left < 0 ? 0 : left) : LOOK_MS;
    }
    if (serves_dial && (presence < 0 || waiting < WAITING)) keep_waiting();
    if (serves_dial && presence < 0 && timeout > 200) timeout = 200;
    int sending = reply_at < reply_end;
    int count = add(0, signals, POLLIN, 0, 0);
    count = add(count, host, (sending ? POLLOUT : 0) | POLLIN, 0, 0);
    int listens = listener >= 0 && !full();
    if (listens) count = add(count, listener, POLLIN, 0, 0);
    int present = presence >= 0 ? count : -1;
    if (present >= 0) count = add(count, presence, POLLIN, 0, 0);
    int quiet = count;
    for (int i = 0; i < 2; i += 1) if (quiet_fds[i] >= 0) count = add(count, quiet_fds[i], POLLIN, i, 0);
    int first = count;
    int linked = count = add_links(count);
    for (int i = 0; i < 2 && !sending && warm_child > 0; i += 1) {
      if (outputs[i].from < 0) continue;
      if (outputs[i].due <= last) count = add(count, outputs[i].from, POLLIN, i, 0);
    }
    wait_for_events(count, until_output(last, timeout));
    i64 now = now_ms(), step = now - last;
    if (warm_child > 0) ran_ms += step > LOOK_MS + LATE_MS ? LOOK_MS + LATE_MS : step;
    last = now;
    if (polled[0].revents != 0) take_signals(signals);
    if (warm_child > 0 && ran_ms >= warm_max_ms) {
      ended_flags |= OUT_OF_TIME;
      if (!kill_all()) CALL2(SYS_kill, warm_child, SIGKILL);
      warm_max_ms = ran_ms + CLEAN_MS;
    }
    for (int i = linked; i < count; i += 1) {
      if (polled[i].revents == 0 || warm_child == 0) continue;
      carry_to_host((int)polled_link[i] + 1);
      outputs[polled_link[i]].due = now + outputs[polled_link[i]].pause;
    }
    write_reply();
    if (ended_status >= 0 && reply_at == reply_end) finish_program();
    if (polled[1].revents & (POLLIN | POLLHUP | POLLERR)) {
      while (take_frame(directory, environment) && reply_at == reply_end) continue;
      write_reply();
    }
    for (int i = quiet; i < first; i += 1) if (polled[i].revents != 0) drain_quiet((int)polled_link[i]);
    if (present >= 0 && polled[present].revents != 0) { shut(presence); presence = -1; }
    serve_links(first, linked);
    if (listens && polled[2].revents != 0) accept_egress();
  }
}

static void dial(u32 port) {
  struct link *link = new_link(OPEN, -1, -1);
  link->in[0] = 0;
  link->out[0] = 1;
  link->port[0] = (u8)(port >> 8);
  link->port[1] = (u8)port;
  CALL3(SYS_fcntl, 0, F_SETFL, O_NONBLOCK);
  CALL3(SYS_fcntl, 1, F_SETFL, O_NONBLOCK);
  begin_local(link);
  while (link->state != FREE) {
    int count = add_links(0);
    wait_for_events(count, 1000);
    serve_links(0, count);
  }
  leave(0);
}

/* Not const: the parameters of a first process are what the kernel put on its stack. */
__attribute__((used)) static void begin(i64 *stack) {
  int argc = (int)stack[0];
  char **argv = (char **)(stack + 1);
  char **environment = argv + argc + 1;
  /* What an engine may have left open to us reaches nobody. */
  if (CALL3(SYS_close_range, 3, ~0U, 0) != 0) for (int fd = 3; fd < 1024; fd += 1) shut(fd);
  /* The task has our user id, and must neither trace us nor take our descriptors. */
  CALL2(SYS_prctl, PR_SET_DUMPABLE, 0);
  u64 all = ~0UL;
  CALL(SYS_rt_sigprocmask, 2 /* set */, &all, 0, sizeof all, 0, 0);
  if (argc == 3 && same(argv[1], "dial")) dial((u32)number_of(argv[2]));
  int warm = argc == 7 && same(argv[1], "warm");
  if (argc < 7 || (!warm && !same(argv[1], "run")) || !same(argv[5], "--")) leave(125);
  int signals = (int)CALL(SYS_signalfd4, -1, &all, sizeof all, O_NONBLOCK | O_CLOEXEC, 0, 0);
  record_fd = (int)CALL(SYS_openat, AT_FDCWD, "/.manyhands/end", O_WRONLY | O_CLOEXEC, 0, 0, 0);
  if (signals < 0) leave(125);
  if (CALL1(SYS_getpid, 0) == 1 && has_foreign_group()) fail_to_start(FOREIGN_GROUP);
  serves_dial = contains(argv[4], 'd');
  if (serves_dial) keep_waiting();
  if (contains(argv[4], 'e')) listen_for_egress();
  if (warm) run_warm(argv[3], environment, signals);
  i64 child = start(argv[3], argv + 6, environment);
  if (child < 0) fail_to_start((int)-child);
  record("started", 0, 0);
  run((i64)number_of(argv[2]), (int)child, signals);
}

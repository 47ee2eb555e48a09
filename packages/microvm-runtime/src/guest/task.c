#define _GNU_SOURCE
#include "protocol.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OPEN_FILES 4096

static void limit(int what, rlim_t value) {
  struct rlimit both = {value, value};
  setrlimit(what, &both);
}

/* Becomes a user that owns nothing and can become nobody else. Each step that fails ends the child. */
static int give_up_rights(uint32_t user) {
  for (int capability = 0; capability < 64; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  return setgroups(0, NULL) == 0 && setresgid(user, user, user) == 0 &&
         setresuid(user, user, user) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static _Noreturn void child(const struct config *config, char **argv, char **envp, int out, int err,
                            int failed) {
  int none = open("/dev/null", O_RDONLY);
  setsid();
  group_join();
  if (chroot(ROOT) == 0 && chdir("/") == 0 && dup2(none, 0) == 0 && dup2(out, 1) == 1 &&
      dup2(err, 2) == 2) {
    close(none);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NOFILE, OPEN_FILES);
    sigset_t all;
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    umask(022);
    if (give_up_rights(config->user)) {
      environ = envp;
      execvpe(argv[0], argv, envp);
    }
  }
  int why = errno;
  write(failed, &why, sizeof why);
  _exit(127);
}

void task_start(struct task *task, const struct config *config, char **argv, char **envp) {
  int out[2], err[2], failed[2], why = 0;
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0 || pipe2(failed, O_CLOEXEC) != 0)
    fail(FAILED_GUEST, "pipes");
  /* So that the task may open /dev/stdout. */
  fchown(out[1], config->user, config->user);
  fchown(err[1], config->user, config->user);
  fcntl(out[0], F_SETFL, O_NONBLOCK);
  fcntl(err[0], F_SETFL, O_NONBLOCK);
  task->pid = fork();
  if (task->pid < 0) fail(FAILED_GUEST, "fork");
  if (task->pid == 0) child(config, argv, envp, out[1], err[1], failed[1]);
  close(out[1]);
  close(err[1]);
  close(failed[1]);
  /* An exec that worked closes the pipe without a word. */
  ssize_t length;
  do length = read(failed[0], &why, sizeof why);
  while (length < 0 && errno == EINTR);
  close(failed[0]);
  if (length == sizeof why) {
    errno = why;
    fail(FAILED_COMMAND, argv[0]);
  }
  task->out = out[0];
  task->err = err[0];
}

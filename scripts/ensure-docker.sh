#!/usr/bin/env bash
# Makes sure that a Docker engine answers on the default socket; installs and starts one where that
# is possible (root on Debian or Ubuntu). Says what it did; exits 1 with a reason when it cannot.
set -euo pipefail

SOCKET=/var/run/docker.sock

say() { printf 'ensure-docker: %s\n' "$*" >&2; }

# Asks the engine itself: a client or a socket file alone proves nothing. Any of the three tools does.
answers() {
  [ -S "$SOCKET" ] || return 1
  if command -v docker >/dev/null 2>&1; then
    timeout 10 docker -H "unix://$SOCKET" version --format '{{.Server.Version}}' >/dev/null 2>&1
  elif command -v curl >/dev/null 2>&1; then
    [ "$(curl -s --max-time 10 --unix-socket "$SOCKET" http://localhost/_ping)" = OK ]
  else
    return 1
  fi
}

if answers; then
  say "an engine answers on $SOCKET"
  if [ ! -x /bin/busybox ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    say 'installing busybox-static, of which the test image is made'
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends busybox-static; } >/dev/null ||
      say 'busybox-static could not be installed: tests that need it will say so'
  fi
  exit 0
fi

if [ "$(id -u)" != 0 ]; then
  say "no engine answers on $SOCKET, and only root can install and start one"
  say 'run this script with sudo, or start your engine (systemctl start docker) and join its group'
  exit 1
fi

if ! command -v dockerd >/dev/null 2>&1 || [ ! -x /bin/busybox ]; then
  if ! command -v apt-get >/dev/null 2>&1; then
    say 'there is no dockerd and no apt-get: install a Docker engine in your system'\''s way'
    exit 1
  fi
  packages='busybox-static iptables'
  command -v dockerd >/dev/null 2>&1 || packages="docker.io $packages"
  log=$(mktemp /tmp/ensure-docker-apt.XXXXXX)
  say "installing $packages"
  # The package's service cannot be started where no init runs; the engine is started below anyway.
  if ! { apt-get update && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends $packages; } >"$log" 2>&1; then
    if ! command -v dockerd >/dev/null 2>&1; then
      tail -n 20 "$log" >&2
      say "the installation failed; all of its output is in $log"
      exit 1
    fi
    say "apt-get reported a failure, but dockerd is there: going on (see $log)"
  fi
fi

# Another start, by a service manager or by a second run of this script, may be on its way.
for _ in 1 2 3 4 5; do
  if answers; then
    say "an engine answers on $SOCKET"
    exit 0
  fi
  sleep 1
done

directory=$(mktemp -d /tmp/ensure-docker.XXXXXX)
log="$directory/dockerd.log"
say "starting dockerd; its log is $log"
# A pid file of an engine that died would keep the new one from starting.
if [ -f /var/run/docker.pid ] && ! kill -0 "$(cat /var/run/docker.pid)" 2>/dev/null; then
  rm -f /var/run/docker.pid
fi
nohup dockerd >"$log" 2>&1 </dev/null &
pid=$!

for _ in $(seq 1 60); do
  if answers; then
    say "an engine answers on $SOCKET (pid $pid)"
    exit 0
  fi
  if ! kill -0 "$pid" 2>/dev/null; then
    tail -n 20 "$log" >&2
    say "dockerd ended at once; its last words are above, all of them in $log"
    exit 1
  fi
  sleep 1
done

tail -n 20 "$log" >&2
say "dockerd did not answer within 60 seconds; its log is $log"
exit 1

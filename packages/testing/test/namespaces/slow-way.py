"""A way between two network namespaces on which packets are late, lost, out of order or twice.

    slow-way.py NAMESPACE DEVICE NAMESPACE DEVICE

Makes a TUN device in each and carries packets between them. Conditions come as lines of JSON on stdin, and
hold from then on; each line is answered with the number of packets that were carried and lost so far:

    {"way": "both" | "there" | "back",   which direction; default both
     "delayMs": 50,      how long each packet takes
     "jitterMs": 10,     and up to that much longer; the order stays
     "loss": 0.05,       share that vanishes
     "reorder": 0.01,    share that is not delayed, and so overtakes others
     "duplicate": 0.01,  share that comes twice
     "mbit": 20,         what passes a second; 0: as much as comes
     "queueBytes": N}    what waits for that; more is lost

What a line does not name stays as it is. Ends with stdin. Python 3 and root, nothing else.
"""
import ctypes
import fcntl
import heapq
import json
import os
import random
import select
import struct
import sys
import time

CLONE_NEWNET = 0x40000000
TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
LARGEST = 65536
# Packets that are read at once before anything else is looked at.
TURN = 64

libc = ctypes.CDLL(None, use_errno=True)


def enter(path):
    with open(path) as namespace:
        if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns " + path)


def open_tun(namespace, device):
    """The device belongs to the namespace; the file to whoever opened it."""
    enter("/run/netns/" + namespace)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    return tun


class Way:
    """One direction."""

    def __init__(self, source, target):
        self.source = source
        self.target = target
        self.conditions = {
            "delayMs": 0, "jitterMs": 0, "loss": 0, "reorder": 0, "duplicate": 0,
            "mbit": 0, "queueBytes": 1 << 20,
        }
        self.waiting = []  # (due, number, packet)
        self.number = 0
        self.free_at = 0.0  # when the line has sent all that it took
        self.last_due = 0.0
        self.carried = 0
        self.lost = 0

    def take(self, packet, now):
        c = self.conditions
        if random.random() < c["loss"]:
            self.lost += 1
            return
        sent = now
        if c["mbit"] > 0:
            per_second = c["mbit"] * 125000
            begins = max(now, self.free_at)
            if (begins - now) * per_second > c["queueBytes"]:
                self.lost += 1
                return
            self.free_at = sent = begins + len(packet) / per_second
        copies = 2 if random.random() < c["duplicate"] else 1
        for _ in range(copies):
            if random.random() < c["reorder"]:
                due = sent
            else:
                late = (c["delayMs"] + random.random() * c["jitterMs"]) / 1000
                due = max(sent + late, self.last_due)
                self.last_due = due
            self.number += 1
            heapq.heappush(self.waiting, (due, self.number, packet))

    def read(self, now):
        for _ in range(TURN):
            try:
                self.take(os.read(self.source, LARGEST), now)
            except BlockingIOError:
                return

    def deliver(self, now):
        while self.waiting and self.waiting[0][0] <= now:
            _, _, packet = heapq.heappop(self.waiting)
            try:
                os.write(self.target, packet)
                self.carried += 1
            except OSError:
                # The device is down, or its queue is full.
                self.lost += 1


def main():
    here, near, there, far = sys.argv[1:]
    own = os.open("/proc/self/ns/net", os.O_RDONLY)
    one = open_tun(here, near)
    libc.setns(own, CLONE_NEWNET)
    other = open_tun(there, far)
    libc.setns(own, CLONE_NEWNET)
    ways = {"there": Way(one, other), "back": Way(other, one)}
    by_source = {way.source: way for way in ways.values()}
    commands = b""
    print(json.dumps({"ready": True}), flush=True)
    while True:
        dues = [way.waiting[0][0] for way in ways.values() if way.waiting]
        wait = max(0.0, min(dues) - time.monotonic()) if dues else None
        readable, _, _ = select.select([0, one, other], [], [], wait)
        now = time.monotonic()
        for source in readable:
            if source in by_source:
                by_source[source].read(now)
                continue
            said = os.read(0, LARGEST)
            if said == b"":
                return
            commands += said
            while b"\n" in commands:
                line, commands = commands.split(b"\n", 1)
                change = json.loads(line)
                which = change.pop("way", "both")
                for name, way in ways.items():
                    if which in ("both", name):
                        way.conditions.update(change)
                total = {key: sum(getattr(way, key) for way in ways.values()) for key in ("carried", "lost")}
                print(json.dumps(total), flush=True)
        now = time.monotonic()
        for way in ways.values():
            way.deliver(now)


main()

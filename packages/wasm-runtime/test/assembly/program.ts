// One program for most tests: its second argument says what it does.
import {
  args, args_sizes_get, CREATE, clock_time_get, environment, exit, fd_allocate, fd_close, fd_fdstat_set_flags,
  fd_fdstat_set_rights, fd_filestat_set_size, fd_filestat_set_times, fd_prestat_get, fd_pwrite, fd_readdir,
  fd_renumber, fd_seek, fd_write, IN, makeDirectory, OUT, open, path_filestat_get, path_filestat_set_times,
  path_link, path_remove_directory, path_rename, path_symlink, path_unlink_file, print, random_get, READ,
  readBytes, sleep, sock_accept, sock_recv, sock_send, TMP, TRUNCATE, WRITE, write, writeBytes,
} from "./wasi"

const argv = args()
const verb = argv[1]
const rest = argv.slice(2)
const cell = heap.alloc(64)

function pointer(bytes: ArrayBuffer): usize {
  return changetype<usize>(bytes)
}

function make(path: string, flags: u32 = CREATE | TRUNCATE): i32 {
  const parts = path.split("/")
  for (let index = 1; index < parts.length; index++) makeDirectory(OUT, parts.slice(0, index).join("/"))
  return open(OUT, path, flags, WRITE | READ)
}

function allocate(bytes: usize): void {
  const pages = i32((bytes + 65535) >> 16)
  const before = memory.size()
  if (memory.grow(pages) < 0) unreachable()
  memory.fill(usize(before) << 16, 1, bytes)
}

function names(fd: u32, size: u32): string[] {
  const buffer = heap.alloc(size)
  const out: string[] = []
  let cookie: u64 = 0
  while (true) {
    if (fd_readdir(fd, buffer, size, cookie, cell) != 0) unreachable()
    const used = load<u32>(cell)
    let at: u32 = 0
    while (at + 24 <= used) {
      const length = load<u32>(buffer + at + 16)
      if (at + 24 + length > used) break
      cookie = load<u64>(buffer + at)
      out.push(String.UTF8.decodeUnsafe(buffer + at + 24, length))
      at += 24 + length
    }
    if (used < size) break
  }
  return out
}

if (verb == "echo") {
  for (let index = 0; index < rest.length; index++) print(rest[index])
} else if (verb == "print") {
  write(1, rest[0])
  write(2, rest[1])
} else if (verb == "env") {
  const all = environment()
  for (let index = 0; index < all.length; index++) {
    if (rest.length == 0) print(all[index])
    else if (all[index].startsWith(rest[0] + "=")) print(all[index].slice(rest[0].length + 1))
  }
} else if (verb == "exit") {
  if (rest.length > 1) sleep(u64(I64.parseInt(rest[1])))
  exit(u32(I32.parseInt(rest[0])))
} else if (verb == "spin") {
  print("ready")
  while (true) {}
} else if (verb == "sleep") {
  print("ready")
  sleep(u64(I64.parseInt(rest[0])))
  print("slept")
} else if (verb == "ticks") {
  for (let tick = 0; ; tick++) {
    print(tick.toString())
    sleep(5)
  }
} else if (verb == "write") {
  const fd = make(rest[0])
  if (fd < 0) exit(100 - fd)
  write(fd, rest[1])
  fd_close(fd)
} else if (verb == "segments") {
  // Adds to what it left, and asks to be continued until it is so long.
  const buffer = heap.alloc(4096)
  const before = open(OUT, "state/step", 0, READ)
  const found = before < 0 ? "" : String.UTF8.decodeUnsafe(buffer, readBytes(before, buffer, 4096))
  if (before >= 0) fd_close(before)
  const fd = make("state/step")
  write(fd, found + "x")
  fd_close(fd)
  if (found.length + 1 < i32(I32.parseInt(rest[0]))) exit(75)
} else if (verb == "keep") {
  const fd = open(TMP, "kept", CREATE | TRUNCATE, WRITE)
  if (fd < 0) exit(100 - fd)
  write(fd, rest[0])
} else if (verb == "kept") {
  const fd = open(TMP, "kept", 0, READ)
  if (fd < 0) exit(100 - fd)
  const buffer = heap.alloc(65536)
  writeBytes(1, buffer, readBytes(fd, buffer, 65536))
} else if (verb == "append") {
  const fd = open(OUT, rest[0], CREATE, WRITE)
  fd_seek(fd, 0, 2, cell)
  write(fd, rest[1])
} else if (verb == "read") {
  const fd = open(IN, rest[0], 0, READ)
  if (fd < 0) exit(100 - fd)
  const buffer = heap.alloc(65536)
  while (true) {
    const read = readBytes(fd, buffer, 65536)
    if (read <= 0) break
    writeBytes(1, buffer, read)
  }
} else if (verb == "overwrite") {
  const fd = open(IN, rest[0], TRUNCATE, WRITE)
  exit(fd < 0 ? -fd : write(fd, "changed"))
} else if (verb == "open-for-writing") {
  exit(-open(IN, rest[0], 0, WRITE | READ))
} else if (verb == "alter") {
  // Every call that could change a file of /in, or its directory; each must be answered with an error.
  const path = String.UTF8.encode(rest[0])
  const at = pointer(path)
  const size = path.byteLength
  const over = String.UTF8.encode("over")
  const held = open(IN, rest[0], 0, READ)
  const mine = make("over")
  const byte = String.UTF8.encode("x")
  store<u32>(cell, pointer(byte))
  store<u32>(cell + 4, 1)
  const tell = (name: string, error: u32): void => print(name + " " + error.toString())
  tell("truncating-open", open(IN, rest[0], TRUNCATE, READ) < 0 ? 1 : 0)
  tell("writing-open", open(IN, rest[0], 0, WRITE) < 0 ? 1 : 0)
  tell("creating-open", open(IN, "new", CREATE, READ) < 0 ? 1 : 0)
  fd_fdstat_set_rights(held, WRITE | READ, WRITE | READ)
  fd_fdstat_set_flags(held, 1)
  tell("write", fd_write(held, cell, 1, cell + 8))
  tell("pwrite", fd_pwrite(held, cell, 1, 0, cell + 8))
  tell("set-size", fd_filestat_set_size(held, 0))
  tell("allocate", fd_allocate(held, 0, 1 << 20))
  tell("unlink", path_unlink_file(IN, at, size))
  tell("rename", path_rename(IN, at, size, IN, pointer(over), over.byteLength))
  tell("move-out", path_rename(IN, at, size, OUT, pointer(over), over.byteLength))
  tell("move-over", path_rename(OUT, pointer(over), over.byteLength, IN, at, size))
  tell("make-directory", makeDirectory(IN, "new"))
  tell("remove-directory", path_remove_directory(IN, at, size))
  tell("link", path_link(IN, 0, at, size, OUT, at, size))
  tell("symlink", path_symlink(at, size, IN, pointer(over), over.byteLength))
  // Taken for changed, perhaps; what they would change is not there to be seen.
  fd_filestat_set_times(held, 1, 1, 5)
  path_filestat_set_times(IN, 0, at, size, 1, 1, 5)
  // The number of a file that can be written, for one that cannot.
  fd_renumber(held, mine)
  tell("write-by-number", fd_write(mine, cell, 1, cell + 8))
} else if (verb == "list") {
  // A small buffer, so that the walk needs several calls.
  const out = names(rest[0] == "in" ? IN : OUT, 64)
  for (let index = 0; index < out.length; index++) print(out[index])
} else if (verb == "allocate") {
  allocate(usize(I64.parseInt(rest[0])))
} else if (verb == "hold") {
  allocate(usize(I64.parseInt(rest[0])))
  print("ready")
  while (true) {}
} else if (verb == "bomb") {
  // The language's own allocator, until it aborts.
  const all: Array<ArrayBuffer> = []
  while (true) all.push(new ArrayBuffer(1 << 20))
} else if (verb == "flood") {
  const line = "0123456789abcde\n".repeat(64)
  const count = i32(I64.parseInt(rest[0]) / line.length)
  for (let index = 0; index < count; index++) write(1, line)
  print("END")
} else if (verb == "flood-for-ever") {
  const bytes = String.UTF8.encode("0123456789abcde\n".repeat(64))
  while (true) writeBytes(1, pointer(bytes), bytes.byteLength)
} else if (verb == "fill") {
  const size = i32(I64.parseInt(rest[0]) / 4)
  const buffer = heap.alloc(65536)
  for (let file = 0; file < 4; file++) {
    const fd = make("fill/" + file.toString())
    for (let left = size; left > 0; left -= 65536) writeBytes(fd, buffer, min(left, 65536))
  }
  print("ready")
  while (true) {}
} else if (verb == "litter") {
  const count = i32(I64.parseInt(rest[0]))
  for (let index = 0; index < count; index++) {
    const fd = make("litter-" + index.toString())
    if (fd < 0) break
    fd_close(fd)
  }
  while (true) {}
} else if (verb == "raw") {
  const hex = rest[0]
  const length = hex.length / 2
  const buffer = heap.alloc(length)
  for (let index = 0; index < length; index++) {
    store<u8>(buffer + index, u8(I32.parseInt(hex.substr(index * 2, 2), 16)))
  }
  writeBytes(1, buffer, length)
} else if (verb == "fill-unlinked") {
  // What is removed while open still takes its place.
  const buffer = heap.alloc(65536)
  for (let file = 0; ; file++) {
    const name = String.UTF8.encode("gone")
    const fd = make("gone")
    for (let left = 0; left < 16; left++) writeBytes(fd, buffer, 65536)
    path_unlink_file(OUT, pointer(name), name.byteLength)
  }
} else if (verb == "sparse") {
  const fd = make("sparse")
  fd_seek(fd, I64.parseInt(rest[0]), 0, cell)
  write(fd, "x")
} else if (verb == "trap") {
  write(2, "about to trap\n")
  unreachable()
} else if (verb == "recurse") {
  exit(u32(deep(1)))
} else if (verb == "open") {
  // Which error each path is answered with, from /in and from /out.
  for (let index = 0; index < rest.length; index++) {
    const fromIn = open(IN, rest[index], 0, READ)
    const fromOut = open(OUT, rest[index], CREATE, WRITE)
    print((fromIn < 0 ? -fromIn : 0).toString() + " " + (fromOut < 0 ? -fromOut : 0).toString())
  }
} else if (verb == "links") {
  const target = String.UTF8.encode("/etc/passwd")
  const name = String.UTF8.encode("link")
  make("plain")
  const plain = String.UTF8.encode("plain")
  print(path_symlink(pointer(target), target.byteLength, OUT, pointer(name), name.byteLength).toString())
  print(path_link(OUT, 0, pointer(plain), plain.byteLength, OUT, pointer(name), name.byteLength).toString())
} else if (verb == "descriptors") {
  make("one")
  let opened = 0
  let error = 0
  while (opened < 100000) {
    const fd = open(OUT, "one", 0, READ)
    if (fd < 0) {
      error = -fd
      break
    }
    opened++
  }
  print(opened.toString() + " " + error.toString())
} else if (verb == "entries") {
  for (let made = 0; ; made++) {
    const fd = make(made.toString())
    if (fd < 0) break
    fd_close(fd)
  }
} else if (verb == "depth") {
  let path = "d"
  let made = 0
  while (made < 500 && makeDirectory(OUT, path) == 0) {
    path = path + "/d"
    made++
  }
  print(made.toString())
} else if (verb == "lengths") {
  // Sizes and pointers far outside the module's memory.
  print(random_get(0, u32.MAX_VALUE).toString())
  print(random_get(u32.MAX_VALUE - 8, 64).toString())
  store<u32>(cell, 0)
  store<u32>(cell + 4, u32.MAX_VALUE)
  print(fd_write(1, cell, 1, cell + 8).toString())
  print(fd_write(1, 0, u32.MAX_VALUE, cell + 8).toString())
  print(fd_write(1, cell, 1, u32.MAX_VALUE).toString())
  print(args_sizes_get(u32.MAX_VALUE, 0).toString())
} else if (verb == "sockets") {
  store<u32>(cell, 0)
  store<u32>(cell + 4, 1)
  for (let fd: u32 = 0; fd < 6; fd++) {
    print(
      sock_send(fd, cell, 1, 0, cell + 8).toString() + " " +
      sock_recv(fd, cell, 1, 0, cell + 8, cell + 12).toString() + " " +
      sock_accept(fd, 0, cell + 8).toString(),
    )
  }
} else if (verb == "clock") {
  clock_time_get(1, 1, cell)
  const first = load<u64>(cell)
  let next = first
  while (next == first) {
    clock_time_get(1, 1, cell)
    next = load<u64>(cell)
  }
  clock_time_get(0, 1, cell)
  print((next - first >= 1000000 && next % 1000000 == 0 && load<u64>(cell) % 1000000 == 0).toString())
} else if (verb == "random") {
  random_get(cell, 8)
  print(load<u64>(cell).toString())
} else if (verb == "preopens") {
  for (let fd: u32 = 3; fd < 6; fd++) print(fd_prestat_get(fd, cell).toString())
} else if (verb == "rearrange") {
  // Renames what was there before, removes one, replaces one, moves a directory.
  const a = String.UTF8.encode("kept.txt")
  const b = String.UTF8.encode("dir/moved.txt")
  const gone = String.UTF8.encode("gone.txt")
  const dir = String.UTF8.encode("dir")
  const other = String.UTF8.encode("other")
  const inside = String.UTF8.encode("dir/inside")
  makeDirectory(OUT, "dir")
  print(path_rename(OUT, pointer(a), a.byteLength, OUT, pointer(b), b.byteLength).toString())
  print(path_unlink_file(OUT, pointer(gone), gone.byteLength).toString())
  print(path_remove_directory(OUT, pointer(dir), dir.byteLength).toString())
  print(path_rename(OUT, pointer(dir), dir.byteLength, OUT, pointer(inside), inside.byteLength).toString())
  print(path_rename(OUT, pointer(dir), dir.byteLength, OUT, pointer(other), other.byteLength).toString())
  print(path_filestat_get(OUT, 0, pointer(dir), dir.byteLength, cell).toString())
} else if (verb == "names") {
  for (let index = 0; index < rest.length; index++) {
    const fd = open(OUT, rest[index], CREATE, WRITE)
    print((fd < 0 ? -fd : 0).toString())
  }
} else {
  write(2, "unknown verb " + verb + "\n")
  exit(2)
}

function deep(level: u32): u32 {
  return deep(level + 1) + level
}

// What the tracer asks of its host: its arguments, a place to write, an end. WASI preview 1.

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_sizes_get")
declare function args_sizes_get(count: usize, bytes: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_get")
declare function args_get(table: usize, buffer: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_get")
declare function fd_prestat_get(fd: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_dir_name")
declare function fd_prestat_dir_name(fd: u32, buffer: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_open")
declare function path_open(dir: u32, lookup: u32, path: usize, length: usize, open: u32, rights: u64, inheriting: u64, flags: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: u32, vectors: usize, count: usize, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_close")
declare function fd_close(fd: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: u32): void

const OPEN_CREATE: u32 = 1
const OPEN_TRUNCATE: u32 = 8
const RIGHT_WRITE: u64 = 1 << 6

const cell = memory.data(16)

export function programArguments(): string[] {
  args_sizes_get(cell, cell + 4)
  const count = load<u32>(cell)
  const table = heap.alloc(4 * count + 4)
  args_get(table, heap.alloc(load<u32>(cell + 4) + 1))
  const out: string[] = []
  for (let index: u32 = 0; index < count; index++) {
    const start = load<u32>(table + 4 * index)
    let end = start
    while (load<u8>(end) != 0) end++
    out.push(String.UTF8.decodeUnsafe(start, end - start))
  }
  return out
}

function writeAll(fd: u32, from: usize, length: usize): bool {
  while (length > 0) {
    store<u32>(cell, from)
    store<u32>(cell + 4, length)
    if (fd_write(fd, cell, 1, cell + 8) != 0) return false
    const written = load<u32>(cell + 8)
    from += written
    length -= written
  }
  return true
}

function writeText(fd: u32, text: string): void {
  const bytes = String.UTF8.encode(text)
  writeAll(fd, changetype<usize>(bytes), bytes.byteLength)
}

export function print(line: string): void {
  writeText(1, line + "\n")
}

export function fail(message: string): void {
  writeText(2, "tracer: " + message + "\n")
  proc_exit(1)
}

/** The descriptor of the directory that the host gave under this name; 0 when it gave none. */
function directory(name: string): u32 {
  for (let fd: u32 = 3; fd_prestat_get(fd, cell) == 0; fd++) {
    const length = load<u32>(cell + 4)
    const buffer = heap.alloc(length)
    fd_prestat_dir_name(fd, buffer, length)
    if (String.UTF8.decodeUnsafe(buffer, length) == name) return fd
  }
  return 0
}

export function writeFile(dir: string, name: string, from: usize, length: usize): void {
  const parent = directory(dir)
  if (parent == 0) return fail("the host gave no directory " + dir)
  const path = String.UTF8.encode(name)
  const flags = OPEN_CREATE | OPEN_TRUNCATE
  const error = path_open(parent, 0, changetype<usize>(path), path.byteLength, flags, RIGHT_WRITE, 0, 0, cell)
  if (error != 0) return fail("cannot create " + dir + "/" + name + ": error " + error.toString())
  const fd = load<u32>(cell)
  if (!writeAll(fd, from, length)) return fail("cannot write " + dir + "/" + name)
  fd_close(fd)
}

// The imports of WASI preview 1 that the test programs call, as the specification declares them.

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_sizes_get")
export declare function args_sizes_get(count: usize, bytes: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_get")
export declare function args_get(table: usize, buffer: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "environ_sizes_get")
export declare function environ_sizes_get(count: usize, bytes: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "environ_get")
export declare function environ_get(table: usize, buffer: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "clock_time_get")
export declare function clock_time_get(id: u32, precision: u64, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "poll_oneoff")
export declare function poll_oneoff(input: usize, output: usize, count: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "random_get")
export declare function random_get(buffer: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
export declare function proc_exit(code: u32): void
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
export declare function fd_write(fd: u32, vectors: usize, count: usize, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_read")
export declare function fd_read(fd: u32, vectors: usize, count: usize, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_seek")
export declare function fd_seek(fd: u32, delta: i64, whence: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_pwrite")
export declare function fd_pwrite(fd: u32, vectors: usize, count: usize, at: u64, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_allocate")
export declare function fd_allocate(fd: u32, offset: u64, length: u64): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_filestat_set_size")
export declare function fd_filestat_set_size(fd: u32, size: u64): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_filestat_set_times")
export declare function fd_filestat_set_times(fd: u32, accessed: u64, modified: u64, flags: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_fdstat_set_rights")
export declare function fd_fdstat_set_rights(fd: u32, rights: u64, inheriting: u64): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_fdstat_set_flags")
export declare function fd_fdstat_set_flags(fd: u32, flags: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_renumber")
export declare function fd_renumber(from: u32, to: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_filestat_set_times")
export declare function path_filestat_set_times(fd: u32, lookup: u32, path: usize, length: usize, accessed: u64, modified: u64, flags: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_close")
export declare function fd_close(fd: u32): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_readdir")
export declare function fd_readdir(fd: u32, buffer: usize, length: usize, cookie: u64, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_get")
export declare function fd_prestat_get(fd: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_open")
export declare function path_open(fd: u32, lookup: u32, path: usize, length: usize, open: u32, rights: u64, inheriting: u64, flags: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_create_directory")
export declare function path_create_directory(fd: u32, path: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_filestat_get")
export declare function path_filestat_get(fd: u32, lookup: u32, path: usize, length: usize, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_symlink")
export declare function path_symlink(target: usize, targetLength: usize, fd: u32, path: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_link")
export declare function path_link(from: u32, lookup: u32, path: usize, length: usize, to: u32, newPath: usize, newLength: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_rename")
export declare function path_rename(from: u32, path: usize, length: usize, to: u32, newPath: usize, newLength: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_unlink_file")
export declare function path_unlink_file(fd: u32, path: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_remove_directory")
export declare function path_remove_directory(fd: u32, path: usize, length: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_recv")
export declare function sock_recv(fd: u32, vectors: usize, count: usize, flags: u32, result: usize, flagsResult: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_send")
export declare function sock_send(fd: u32, vectors: usize, count: usize, flags: u32, result: usize): u32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "sock_accept")
export declare function sock_accept(fd: u32, flags: u32, result: usize): u32

export const IN: u32 = 3
export const OUT: u32 = 4
export const TMP: u32 = 5
export const READ: u64 = 1 << 1
export const WRITE: u64 = 1 << 6
export const CREATE: u32 = 1
export const TRUNCATE: u32 = 8

const cell = memory.data(64)
const vector = memory.data(16)

function strings(environment: bool): string[] {
  environment ? environ_sizes_get(cell, cell + 4) : args_sizes_get(cell, cell + 4)
  const count = load<u32>(cell)
  const table = heap.alloc(4 * count + 4)
  const buffer = heap.alloc(load<u32>(cell + 4) + 1)
  environment ? environ_get(table, buffer) : args_get(table, buffer)
  const out: string[] = []
  for (let index: u32 = 0; index < count; index++) {
    const start = load<u32>(table + 4 * index)
    let end = start
    while (load<u8>(end) != 0) end++
    out.push(String.UTF8.decodeUnsafe(start, end - start))
  }
  return out
}

export function args(): string[] {
  return strings(false)
}

export function environment(): string[] {
  return strings(true)
}

export function writeBytes(fd: u32, bytes: usize, length: usize): u32 {
  store<u32>(vector, bytes)
  store<u32>(vector + 4, length)
  return fd_write(fd, vector, 1, cell)
}

export function readBytes(fd: u32, bytes: usize, length: usize): i32 {
  store<u32>(vector, bytes)
  store<u32>(vector + 4, length)
  const error = fd_read(fd, vector, 1, cell)
  return error != 0 ? -error : load<i32>(cell)
}

export function write(fd: u32, text: string): u32 {
  const bytes = String.UTF8.encode(text)
  return writeBytes(fd, changetype<usize>(bytes), bytes.byteLength)
}

export function print(line: string): void {
  write(1, line + "\n")
}

/** The descriptor, or the negative error. */
export function open(dir: u32, path: string, flags: u32, rights: u64): i32 {
  const bytes = String.UTF8.encode(path)
  const error = path_open(dir, 0, changetype<usize>(bytes), bytes.byteLength, flags, rights, rights, 0, cell)
  return error != 0 ? -error : load<i32>(cell)
}

export function makeDirectory(dir: u32, path: string): u32 {
  const bytes = String.UTF8.encode(path)
  return path_create_directory(dir, changetype<usize>(bytes), bytes.byteLength)
}

export function sleep(ms: u64): void {
  const subscription = heap.alloc(48)
  memory.fill(subscription, 0, 48)
  store<u32>(subscription + 16, 1)
  store<u64>(subscription + 24, ms * 1000000)
  const event = heap.alloc(32)
  poll_oneoff(subscription, event, 1, cell)
}

export function exit(code: u32): void {
  proc_exit(code)
}

const SAYS = {
  EACCES: 'permission denied',
  EBADF: 'bad file descriptor',
  EEXIST: 'file already exists',
  EINVAL: 'invalid argument',
  EISDIR: 'illegal operation on a directory',
  ENOENT: 'no such file or directory',
  ENOSPC: 'no space left on device',
  ENOTDIR: 'not a directory',
  ENOTEMPTY: 'directory not empty',
  ENOTSUP: 'operation not supported',
} as const

/** What a file system says no with, in Node's words: `code` is what programs look at. */
class FileError extends Error {
  readonly code: string
  readonly syscall: string
  readonly path: string | undefined

  constructor(code: keyof typeof SAYS, syscall: string, path: string | undefined) {
    super(`${code}: ${SAYS[code]}, ${syscall}${path === undefined ? '' : ` '${path}'`}`)
    this.code = code
    this.syscall = syscall
    this.path = path
  }
}

export function fileError(code: keyof typeof SAYS, syscall: string, path?: string): Error {
  return new FileError(code, syscall, path)
}

/** Error numbers of WASI preview 1 that this system uses. */
export const ERRNO = {
  SUCCESS: 0,
  BADF: 8,
  EXIST: 20,
  FAULT: 21,
  FBIG: 22,
  ILSEQ: 25,
  INVAL: 28,
  IO: 29,
  ISDIR: 31,
  MFILE: 33,
  NAMETOOLONG: 37,
  NOENT: 44,
  NOSYS: 52,
  NOTDIR: 54,
  NOTEMPTY: 55,
  NOTSOCK: 57,
  NOTSUP: 58,
  OVERFLOW: 61,
  ROFS: 69,
  SPIPE: 70,
  NOTCAPABLE: 76,
} as const

/** What a call answers instead of success. Thrown inside the system, never seen by the module. */
export class WasiError extends Error {
  readonly errno: number

  constructor(name: keyof typeof ERRNO) {
    super(name)
    this.errno = ERRNO[name]
  }
}

/** Ends the module: it called proc_exit. */
export class ProcessExit extends Error {
  readonly code: number

  constructor(code: number) {
    super(`exit ${code}`)
    this.code = code
  }
}

/** Ends the module: it wrote more below /out than the task may. */
export class DiskExceeded extends Error {}

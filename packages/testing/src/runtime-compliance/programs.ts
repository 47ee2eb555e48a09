/** What a runtime is asked to run in one case of the suite. */
export interface ComplianceProgram {
  image: string
  /** The whole argv. */
  command: string[]
}

/**
 * The programs that the suite needs, each as the runtime under test can express it. A program that is
 * left out makes its cases skipped, and each of these needs a reason in `skip`.
 */
export interface CompliancePrograms {
  /** Prints every argument on a line of its own to stdout. The arguments must reach it through argv. */
  echo?(args: string[]): ComplianceProgram
  /** Writes one text to stdout and another to stderr. */
  print?(stdout: string, stderr: string): ComplianceProgram
  /** Prints the value of an environment variable. */
  env?(name: string): ComplianceProgram
  /** Ends with this code. */
  exit?(code: number): ComplianceProgram
  /** Keeps a core busy and never ends. */
  spin?(): ComplianceProgram
  /** Ends by itself with code 0 after about this time. */
  sleep?(ms: number): ComplianceProgram
  /** Prints `ready`, then runs on whatever TERM says. */
  ignoreTerm?(): ComplianceProgram
  /** Writes a text file below /out, in directories that it makes itself. */
  write?(path: string, text: string): ComplianceProgram
  /** Prints the file /in/path to stdout. */
  read?(path: string): ComplianceProgram
  /** Tries to overwrite the file /in/path; ends with 0 only when that worked. */
  overwrite?(path: string): ComplianceProgram
  /** Uses this much memory, then ends with code 0. */
  allocate?(bytes: number): ComplianceProgram
  /** Uses this much memory and keeps it without ending. */
  hold?(bytes: number): ComplianceProgram
  /** Writes this many bytes to stdout and then the line `END`. */
  flood?(bytes: number): ComplianceProgram
  /** Writes files of this many bytes in all below /out, then runs on. */
  fill?(bytes: number): ComplianceProgram
  /** An image that does not exist or is not one. */
  badImage?(): ComplianceProgram
  /** An image with a command that cannot be started in it. */
  badCommand?(): ComplianceProgram
}

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
  /** Ends with this code, after about this time; at once when it is not given. */
  exit?(code: number, afterMs?: number): ComplianceProgram
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
  /** Makes this many empty files below /out, then runs on. */
  litter?(count: number): ComplianceProgram
  /** Appends to the file /out/ticks ten times a second and never ends. */
  tick?(): ComplianceProgram
  /** Writes bytes, given as hexadecimal digits, to stdout. */
  raw?(hex: string): ComplianceProgram
  /** Prints its numeric user id and a newline. */
  uid?(): ComplianceProgram
  /** Prints the names of its network interfaces, a line each. */
  interfaces?(): ComplianceProgram
  /**
   * Prints a line with the mode in octal, the user id and the file system type of the file
   * /run/secrets/NAME, such as `400 10001 tmpfs`, and then its contents.
   */
  secret?(name: string): ComplianceProgram
  /** Prints what an http URL answers and ends with 0; with another code when nothing answers. */
  fetch?(url: string): ComplianceProgram
  /** Keeps a text where later tasks of the same warm sandbox find it, or prints what is there. */
  keep?(text: string): ComplianceProgram
  kept?(): ComplianceProgram
  /** Begins something that goes on to write to /out, and ends itself with code 0. */
  leave?(): ComplianceProgram
  /** Listens on a TCP port inside the sandbox and answers every connection with what it says. */
  serve?(port: number): ComplianceProgram
}

/** Destinations that the network profile `egress` is tried with; made by the test of the runtime. */
export interface ComplianceEgress {
  /** What is listed, as a job would write it, the URL of it and what it answers. */
  listed: { destination: string; url: string; answer: string }
  /** URLs of servers that run as well and are not listed: other names, other ports, bare addresses. */
  unlisted: string[]
}

import type { ErrorDocument } from '../errors.ts'

/**
 * A lane is one stream of content between two peers, worked off by a thread of its own where the
 * stream is a side socket. The thread that plans talks with it over a message port, in these words.
 * Content never crosses the port: the lane reads and writes the files itself.
 */

/** What a receiving lane asks its peer for. */
export interface ReceiveOrder {
  id: number
  pieces: ReceivePiece[]
}

/** Chunks of one file that lie side by side. */
export interface ReceivePiece {
  /** Index in the manifest. */
  file: number
  /** First byte, in the file on both sides. */
  position: number
  length: number
  /** Length and sha256 (32 bytes each, concatenated) of each chunk. */
  lengths: number[]
  hashes: Uint8Array
  /** Where the bytes go: at `position` of a file that exists, or, with a temporary name, as a whole file. */
  path: string
  /** What the file is called until it is durable begins so. */
  temporary?: string
  /** Whether they go past the page cache, where that can be. */
  direct?: boolean
}

export type ReceiveCommand =
  /** `open`: what to send first, unless the manifest came over the same stream. */
  | { kind: 'receive'; peer: string; open?: Uint8Array; stallMs: number }
  | { kind: 'order'; orders: ReceiveOrder[] }
  | { kind: 'end' }
  | { kind: 'fail'; error: ErrorDocument }

export type ReceiveReport =
  /** Verified and written; whole files durably. */
  | { kind: 'done'; ids: number[] }
  /** The peer gives nothing any more, and says why in this frame. */
  | { kind: 'refused'; frame: Uint8Array }
  | { kind: 'failed'; error: ErrorDocument }
  | { kind: 'ended' }

/** Where a file lies that is sent, and how it must look when it is somebody else's. */
export interface LocatedFile {
  path: string
  size: number
  /** It is on its way here, and gets another name when it is whole. */
  moving?: boolean
  seen?: { dev: bigint; ino: bigint; size: bigint; mtimeNs: bigint }
}

/** First byte and number of bytes of a file of the artifact. */
export type WantedRange = [file: number, position: number, length: number]

export type ServeCommand =
  /** `opened`: what the peer wants was read before. `mostBytes`: counted and sent as one. */
  | { kind: 'serve'; peer: string; stallMs: number; opened: boolean; mostBytes: number }
  | { kind: 'admitted' }
  | { kind: 'located'; files: LocatedFile[] }
  /** What the peer is told of the failure. */
  | { kind: 'farewell'; frame: Uint8Array }
  | { kind: 'fail'; error: ErrorDocument }

export type ServeReport =
  /** The peer wants an artifact: answered by `admitted` or `fail`. */
  | { kind: 'opened'; frame: Uint8Array }
  /** Before anything of these is sent: answered by `located` or `fail`. */
  | { kind: 'locate'; files: number[]; ends: number[]; bytes: number }
  | { kind: 'sent'; bytes: number }
  /** It ends; answered by `farewell`. */
  | { kind: 'failed'; error: ErrorDocument }
  | { kind: 'ended' }

export type LaneCommand = ReceiveCommand | ServeCommand
export type LaneReport = ReceiveReport | ServeReport

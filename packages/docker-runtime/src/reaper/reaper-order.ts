import type { EngineTarget } from '../connect/engine-target.ts'

/** What a reaper is told, as one line of JSON; the end of the pipe is the end of the host's process. */
export interface ReaperOrder {
  v: 1
  target: EngineTarget
  hostInstance: string
  stateDir: string
  /** Whose containers these are: it stays as long as no other process of the host has come. */
  generation: string
  afterMs: number
}

/** Written instead of nothing at the end: the host has closed and nothing of it is left. */
export const NOTHING_LEFT = 'done'

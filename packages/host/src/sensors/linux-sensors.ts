import type { HostSensors } from '../sensors.ts'
import { onBattery } from './battery.ts'
import { IdleTime } from './idle-time.ts'
import { RunningPrograms } from './running-programs.ts'

/** Where Linux tells about itself; tests name trees of their own. */
export interface LinuxRoots {
  dev?: string
  proc?: string
  sys?: string
  run?: string
  tmp?: string
  xIdleCommand?: string
  /** Process id of this program below `proc`. */
  self?: number
}

/** Sensors of a Linux computer. Nothing is read before it is asked for. */
export function linuxSensors(roots: LinuxRoots = {}): HostSensors & AsyncDisposable {
  const {
    dev = '/dev',
    proc = '/proc',
    sys = '/sys',
    run = '/run',
    tmp = '/tmp',
    xIdleCommand = 'xprintidle',
    self = process.pid,
  } = roots
  const idle = new IdleTime({ dev, run, tmp, xIdleCommand })
  const programs = new RunningPrograms(proc, self)
  return {
    idleMs: () => idle.idleMs(),
    onBattery: () => onBattery(sys),
    programs: () => programs.names(),
    localTime,
    [Symbol.asyncDispose]: () => idle[Symbol.asyncDispose](),
  }
}

/** As a clock on the wall shows it. */
export function localTime(now = new Date()): { minutes: number; day: number } {
  return { minutes: now.getHours() * 60 + now.getMinutes(), day: now.getDay() }
}

import { platform } from 'node:os'
import type { HostSensors } from '../sensors.ts'
import { linuxSensors, localTime } from './linux-sensors.ts'

/**
 * Sensors of the computer this runs on. Elsewhere than on Linux nothing but the time is known, so rules
 * that need more refuse; an owner there brings sensors of their own.
 */
export function thisComputer(): HostSensors & AsyncDisposable {
  if (platform() === 'linux') return linuxSensors()
  const unknown = () => Promise.resolve(undefined)
  return {
    idleMs: unknown,
    onBattery: unknown,
    programs: unknown,
    localTime,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

import { formatDuration } from '@manyhands/core'
import { type HostSensors, thisComputer } from '@manyhands/host'
import { type Check, type Examiner, ok } from './check.ts'

export const sensorsCheck: Examiner = async () => {
  await using sensors = thisComputer()
  return [await describeSensors(sensors)]
}

/** What a schedule can look at here. A rule about what nothing tells would pause everything. */
export async function describeSensors(sensors: HostSensors): Promise<Check> {
  const [idleMs, battery, programs] = await Promise.all([
    sensors.idleMs(),
    sensors.onBattery(),
    sensors.programs(),
  ])
  return ok(
    'sensors',
    [
      idleMs === undefined
        ? 'idle time unknown (--only-when-idle cannot be kept)'
        : `idle for ${formatDuration(idleMs)}`,
      battery === undefined
        ? 'battery unknown (--not-on-battery cannot be kept)'
        : battery
          ? 'on battery'
          : 'not on battery',
      programs === undefined
        ? 'programs unknown (--pause-while cannot be kept)'
        : `${programs.size} programs seen`,
    ].join(', '),
  )
}

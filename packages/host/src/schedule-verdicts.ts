import { formatDuration } from '@manyhands/core'
import type { RuleVerdict } from './admission-request.ts'
import type { Schedule } from './policy-book.ts'
import type { HostSensors } from './sensors.ts'

/** How long a sensor may take, ms. */
const SENSOR_MS = 5_000
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** What one setting of the schedule says now. */
export interface ScheduleVerdict extends RuleVerdict {
  /** Why it is closed, in words that do not change from second to second. */
  reason: string
}

/**
 * Looks at the computer and gives a verdict for every setting of the schedule. Only what is asked for is
 * looked at. What a sensor does not tell is a no: the owner lends on a condition, and it is not known to
 * hold.
 */
export async function judgeSchedule(
  schedule: Schedule,
  sensors: HostSensors,
): Promise<ScheduleVerdict[]> {
  const { hours, idleMs, notOnBattery, pauseWhile } = schedule
  const verdicts = await Promise.all([
    hours === undefined ? undefined : judgeHours(hours, sensors),
    idleMs === undefined ? undefined : judgeIdle(idleMs, sensors),
    notOnBattery ? judgeBattery(sensors) : undefined,
    pauseWhile.length === 0 ? undefined : judgePrograms(pauseWhile, sensors),
  ])
  return verdicts.filter((verdict) => verdict !== undefined)
}

function verdict(
  setting: string,
  allowed: boolean,
  detail: string,
  reason = detail,
): ScheduleVerdict {
  return { rule: `schedule.${setting}`, allowed, detail, temporary: true, reason }
}

function judgeHours(hours: NonNullable<Schedule['hours']>, sensors: HostSensors): ScheduleVerdict {
  let time: { day: number; minutes: number }
  try {
    time = sensors.localTime()
  } catch {
    return verdict('hours', false, 'this computer does not tell the time')
  }
  const { day, minutes } = time
  const clock = `${DAYS[day]} ${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
  return hours.includes(time)
    ? verdict('hours', true, `${clock} is within ${hours.text}`)
    : verdict('hours', false, `${clock} is outside of ${hours.text}`, `outside of ${hours.text}`)
}

async function judgeIdle(wantedMs: number, sensors: HostSensors): Promise<ScheduleVerdict> {
  const idleMs = await asked(() => sensors.idleMs())
  const wanted = formatDuration(wantedMs)
  if (idleMs === undefined) {
    return verdict('onlyWhenIdle', false, 'this computer does not tell whether somebody uses it')
  }
  const detail = `last used ${formatDuration(idleMs)} ago, lent after ${wanted}`
  return verdict('onlyWhenIdle', idleMs >= wantedMs, detail, 'somebody uses this computer')
}

async function judgeBattery(sensors: HostSensors): Promise<ScheduleVerdict> {
  const battery = await asked(() => sensors.onBattery())
  if (battery === undefined) {
    return verdict('notOnBattery', false, 'this computer does not tell whether it is plugged in')
  }
  return verdict('notOnBattery', !battery, battery ? 'runs on its battery' : 'is plugged in')
}

async function judgePrograms(
  pauseWhile: readonly string[],
  sensors: HostSensors,
): Promise<ScheduleVerdict> {
  const programs = await asked(() => sensors.programs())
  if (programs === undefined) {
    return verdict('pauseWhile', false, 'this computer does not tell which programs run')
  }
  const running = pauseWhile.find((name) => programs.has(name))
  return running === undefined
    ? verdict('pauseWhile', true, `none of ${pauseWhile.join(', ')} runs`)
    : verdict('pauseWhile', false, `${running} is running`)
}

const two = (n: number) => String(n).padStart(2, '0')

/** A sensor that fails or is late tells nothing. */
async function asked<Value>(sensor: () => Promise<Value | undefined>): Promise<Value | undefined> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await Promise.race([
      sensor(),
      new Promise<undefined>((resolve) => {
        timer = setTimeout(() => resolve(undefined), SENSOR_MS)
        timer.unref()
      }),
    ])
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
  }
}

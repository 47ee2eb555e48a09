import { type Duration, parseDuration } from '@manyhands/core'
import type { SeededRandom } from './seeded-random.ts'
import type { SimulatedChurn, SimulatedHostOptions } from './simulate-options.ts'
import type { TwinHost } from './twin-host.ts'
import type { VirtualClock } from './virtual-clock.ts'

const BACK_AFTER = '2m'

/** What happens to a host, and when: what its options say. */
export function plan(host: TwinHost, options: SimulatedHostOptions, clock: VirtualClock): void {
  const at = (time: Duration | undefined, act: () => void) => {
    if (time === undefined) return
    clock.after(Math.max(0, parseDuration(time) - clock.now()), act)
  }
  if (options.joinsAfter === undefined) host.join()
  at(options.joinsAfter, () => host.join())
  at(options.leavesAfter, () => host.leave())
  at(options.freezesAfter, () => host.freeze())
  at(options.thawsAfter, () => host.thaw())
  at(options.cutOffAfter, () => host.cutOff())
  at(options.backAfter, () => host.back())
  at(options.crashesAfter, () => host.crash())
  at(options.restartsAfter, () => host.restart())
}

/** The same by chance, again and again. */
export function churn(
  host: TwinHost,
  { crashEvery, freezeEvery, cutOffEvery, backAfter = BACK_AFTER }: SimulatedChurn,
  clock: VirtualClock,
  random: SeededRandom,
): void {
  const backMs = parseDuration(backAfter)
  const again = (name: string, every: Duration | undefined, act: () => void, end: () => void) => {
    if (every === undefined) return
    const draw = random.of(name)
    const everyMs = parseDuration(every)
    const next = () => {
      clock.after(draw.wait(everyMs), () => {
        act()
        clock.after(draw.wait(backMs), () => {
          end()
          next()
        })
      })
    }
    next()
  }
  again(
    'crash',
    crashEvery,
    () => host.crash(),
    () => host.restart(),
  )
  again(
    'freeze',
    freezeEvery,
    () => host.freeze(),
    () => host.thaw(),
  )
  again(
    'cut off',
    cutOffEvery,
    () => host.cutOff(),
    () => host.back(),
  )
}

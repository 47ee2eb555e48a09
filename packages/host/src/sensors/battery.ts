import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Whether the computer runs on its battery, from `/sys/class/power_supply`. A computer without a battery
 * never does; undefined when the system does not tell. Batteries of mice and headsets are not meant.
 */
export async function onBattery(sys: string): Promise<boolean | undefined> {
  const dir = join(sys, 'class/power_supply')
  const supplies = await readdir(dir).catch(() => undefined)
  if (supplies === undefined) return undefined
  const read = (name: string, file: string) =>
    readFile(join(dir, name, file), 'utf8').then(
      (text) => text.trim(),
      () => undefined,
    )
  let plugged = false
  const batteries: (string | undefined)[] = []
  for (const name of supplies) {
    const type = await read(name, 'type')
    if ((await read(name, 'scope')) === 'Device') continue
    if (type === 'Battery' || type === 'UPS') batteries.push(await read(name, 'status'))
    // Mains, and USB for what charges over it: one that is plugged is enough.
    else plugged ||= (await read(name, 'online')) === '1'
  }
  if (plugged || batteries.length === 0) return false
  // Without a plug only a battery that is being charged, or is full, tells of one.
  return !batteries.every((status) => ['Charging', 'Full', 'Not charging'].includes(status ?? ''))
}

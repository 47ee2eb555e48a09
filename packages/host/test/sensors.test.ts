import { execFile } from 'node:child_process'
import { appendFile, chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type LinuxRoots, linuxSensors, localTime } from '../src/sensors/linux-sensors.ts'

const ID = 'c0ffee'.repeat(11).slice(0, 64)
let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'manyhands-sensors-'))
})
afterEach(() => rm(root, { recursive: true, force: true }))

async function file(path: string, text = ''): Promise<string> {
  const full = join(root, path)
  await mkdir(dirname(full), { recursive: true })
  await writeFile(full, text)
  return full
}

const sensors = (more: LinuxRoots = {}) =>
  linuxSensors({
    dev: join(root, 'dev'),
    proc: join(root, 'proc'),
    sys: join(root, 'sys'),
    run: join(root, 'run'),
    tmp: join(root, 'tmp'),
    xIdleCommand: join(root, 'no-xprintidle'),
    self: 500,
    ...more,
  })

describe('battery', () => {
  const supply = async (name: string, values: Record<string, string>) => {
    for (const [key, value] of Object.entries(values)) {
      await file(`sys/class/power_supply/${name}/${key}`, `${value}\n`)
    }
  }

  it.each<[string, Record<string, Record<string, string>>, boolean]>([
    ['a laptop that is unplugged', { AC: mains('0'), BAT0: battery('Discharging') }, true],
    ['a laptop that is plugged in', { AC: mains('1'), BAT0: battery('Charging') }, false],
    ['a weak charger', { AC: mains('1'), BAT0: battery('Discharging') }, false],
    ['a full battery without a plug', { AC: mains('0'), BAT0: battery('Full') }, false],
    ['a battery that tells nothing', { AC: mains('0'), BAT0: battery('Unknown') }, true],
    ['one of two batteries in use', { BAT0: battery('Full'), BAT1: battery('Discharging') }, true],
    ['a desktop with sockets for chargers', { ucsi: { type: 'USB', online: '0' } }, false],
    ['a mouse', { hid: { type: 'Battery', scope: 'Device', status: 'Discharging' } }, false],
  ])('%s', async (_, supplies, expected) => {
    for (const [name, values] of Object.entries(supplies)) await supply(name, values)
    expect(await sensors().onBattery()).toBe(expected)
  })

  it('is none where there is none, and unknown where the system does not tell', async () => {
    expect(await sensors().onBattery()).toBeUndefined()
    await mkdir(join(root, 'sys/class/power_supply'), { recursive: true })
    expect(await sensors().onBattery()).toBe(false)
  })
})

function mains(online: string) {
  return { type: 'Mains', online }
}
function battery(status: string) {
  return { type: 'Battery', status }
}

describe('idle time', () => {
  const usedAgo = async (path: string, seconds: number) => {
    const at = Date.now() / 1000 - seconds
    await utimes(await file(path), at, at)
  }
  const minutes = async (more?: LinuxRoots) => {
    await using computer = sensors(more)
    const idleMs = await computer.idleMs()
    return idleMs === undefined ? undefined : Math.round(idleMs / 60_000)
  }
  const xprintidle = async (says: string) => {
    const path = await file('xprintidle', `#!/bin/sh\n${says}\n`)
    await chmod(path, 0o755)
    return { xIdleCommand: path }
  }

  it('is that of the terminal that was used last', async () => {
    await usedAgo('dev/tty1', 3600)
    await usedAgo('dev/pts/3', 600)
    // Neither is a terminal at which somebody sits.
    await usedAgo('dev/pts/ptmx', 1)
    await usedAgo('dev/tty', 1)
    expect(await minutes()).toBe(10)
  })

  it('is unknown where nothing tells', async () => {
    expect(await minutes()).toBeUndefined()
  })

  it('takes the X server’s word as well', async () => {
    await usedAgo('dev/tty1', 3600)
    expect(await minutes(await xprintidle('echo 120000'))).toBe(2)
  })

  it('is unknown on a desktop that nobody answers for: its terminals see no mouse', async () => {
    await usedAgo('dev/tty1', 3600)
    await file('run/systemd/sessions/c1', 'UID=1000\nTYPE=x11\nSTATE=active\n')
    expect(await minutes()).toBeUndefined()
    expect(await minutes(await xprintidle('exit 1'))).toBeUndefined()
    expect(await minutes(await xprintidle('echo 1200000'))).toBe(20)
    // Under Wayland the X server sees its own programs only.
    await file('run/systemd/sessions/c1', 'UID=1000\nTYPE=wayland\n')
    expect(await minutes(await xprintidle('echo 1200000'))).toBeUndefined()
  })

  it('knows an X server by its socket where there is no logind', async () => {
    await usedAgo('dev/tty1', 3600)
    await file('tmp/.X11-unix/X0')
    expect(await minutes()).toBeUndefined()
    await file('run/systemd/sessions/1', 'TYPE=tty\n')
    expect(await minutes()).toBe(60)
  })

  it('listens to input devices where they can be read', async () => {
    await usedAgo('dev/tty1', 3600)
    await file('run/systemd/sessions/c1', 'TYPE=wayland\n')
    // A device answers "nothing yet"; so does a pipe that somebody holds open.
    await file('dev/input/mouse0')
    const device = join(root, 'dev/input/event0')
    await promisify(execFile)('mkfifo', [device])
    await using computer = sensors()
    const before = await computer.idleMs()
    // Who used it before is not known: counted from when it began to listen.
    expect(before).toBeLessThan(60_000)
    await new Promise((resolve) => setTimeout(resolve, 60))
    const idle = (await computer.idleMs())!
    expect(idle).toBeGreaterThanOrEqual(50)
    await appendFile(device, Buffer.alloc(24))
    expect(await computer.idleMs()).toBeLessThan(idle)
  })
})

describe('running programs', () => {
  interface Asked {
    parent?: number
    /** Ids from our process namespace inwards. */
    ids?: string
    cgroup?: string
    exe?: string
    command?: string[]
  }
  const process = async (pid: number, comm: string, asked: Asked = {}) => {
    const { parent = 1, ids = String(pid), cgroup = '0::/user.slice', exe, command = [] } = asked
    await file(`proc/${pid}/status`, `Name:\t${comm}\nPPid:\t${parent}\nNSpid:\t${ids}\n`)
    await file(`proc/${pid}/cgroup`, `${cgroup}\n`)
    await file(`proc/${pid}/cmdline`, command.map((argument) => `${argument}\0`).join(''))
    if (exe !== undefined) await symlink(exe, join(root, `proc/${pid}/exe`))
  }
  beforeEach(async () => {
    await process(1, 'systemd', { parent: 0 })
    await process(500, 'node', { parent: 400 })
    await file('proc/version', 'not a process')
  })

  it('are known by their command, executable and first argument', async () => {
    await process(10, 'steamwebhelperx', { exe: '/usr/lib/steam/SteamWebHelper' })
    await process(11, 'wine-preloader', { command: ['C:\\Games\\Neverball.exe', '-f'] })
    await process(12, 'blender', { exe: '/opt/blender-4 (deleted)' })
    const names = await sensors().programs()
    for (const name of ['steamwebhelper', 'neverball', 'blender', 'blender-4', 'node']) {
      expect(names).toContain(name)
    }
    expect(names).not.toContain('-f')
  })

  it('of sandboxes do not count, whatever they call themselves', async () => {
    // An engine's container: by its cgroup, also when its parent was reaped.
    await process(20, 'steam', { ids: '20\t1', cgroup: `4:memory:/docker/${ID}` })
    await process(21, 'steam', { parent: 20, ids: '21\t7', cgroup: `0::/docker-${ID}.scope` })
    // Rootless Podman without cgroups: by the monitor that is its parent.
    await process(30, 'conmon')
    await process(31, 'steam', { parent: 30, ids: '31\t1' })
    await process(32, 'steam', { parent: 31, ids: '32\t2' })
    // A child of this process.
    await process(40, 'steam', { parent: 500 })
    expect(await sensors().programs()).not.toContain('steam')
  })

  it('of the owner count, also in a sandbox that no engine made', async () => {
    // Flatpak's bubblewrap has a process namespace of its own.
    await process(50, 'bwrap', { cgroup: '0::/app-flatpak-com.valvesoftware.Steam-50.scope' })
    await process(51, 'steam', {
      parent: 50,
      ids: '51\t2',
      cgroup: '0::/app-flatpak-com.valvesoftware.Steam-50.scope',
    })
    expect(await sensors().programs()).toContain('steam')
  })

  it('of the owner cannot hide behind the name of an engine or its cgroup alone', async () => {
    await process(60, 'conmon')
    await process(61, 'steam', { parent: 60 })
    await process(62, 'doom', { cgroup: `0::/docker/${ID}` })
    const names = await sensors().programs()
    expect(names).toContain('steam')
    expect(names).toContain('doom')
  })

  it('are unknown where processes of others are hidden', async () => {
    await rm(join(root, 'proc/1'), { recursive: true })
    expect(await sensors().programs()).toBeUndefined()
    expect(await sensors({ proc: join(root, 'nothing') }).programs()).toBeUndefined()
  })

  it('are seen when they come, change their name, and go', async () => {
    const computer = sensors()
    expect(await computer.programs()).not.toContain('steam')
    await process(70, 'sh')
    expect(await computer.programs()).toContain('sh')
    await process(70, 'steam')
    let names: ReadonlySet<string> | undefined
    // What is known of a process is read again at every fifth look.
    for (let look = 0; look < 5; look += 1) names = await computer.programs()
    expect(names).toContain('steam')
    await rm(join(root, 'proc/70'), { recursive: true })
    expect(await computer.programs()).not.toContain('steam')
  })
})

it('the time is that of a clock on the wall', () => {
  expect(localTime(new Date(2026, 10, 24, 19, 5))).toEqual({ day: 2, minutes: 19 * 60 + 5 })
})

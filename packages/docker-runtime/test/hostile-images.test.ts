import { readdir } from 'node:fs/promises'
import { ManyhandsError } from '@manyhands/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BUSYBOX_IMAGE,
  buildImage,
  ensureImage,
  type ImageEntry,
} from '../../../scripts/docker-images.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { SandboxForTests, textOf } from './sandbox-for-tests.ts'

interface HostileImage {
  /** What is wrong with it. */
  does: string
  changes?: string[]
  entries?: ImageEntry[]
  /** Run in it; prints what `held` has to match. */
  probe?: string
  held?: RegExp
  /** Where it is refused instead of run. */
  refused?: string[]
  /** What has to be below /out afterwards; default nothing. */
  out?: string[]
}

const setuid = (path: string): ImageEntry => ({ path, mode: 0o4755, content: '#!/bin/sh\nid -u\n' })
const many = Array.from({ length: 5000 }, (_, index) => `V${index}=x`).join(' ')
/** True in the owner's own root directory and in no image here. */
const ownersRoot = 'ls -d ./var/lib ./boot ./proc/1/root/var/lib 2>/dev/null | head -1'

const IMAGES: HostileImage[] = [
  { does: 'wants to be root', changes: ['USER 0'], probe: 'id -u', held: /^10001\n$/ },
  {
    does: 'wants to be root by name',
    changes: ['USER root:root'],
    probe: 'id -G',
    held: /^10001\n$/,
  },
  { does: 'has a volume at the root', changes: ['VOLUME /'], refused: ['IMAGE_INVALID'] },
  { does: 'has a volume at /proc', changes: ['VOLUME /proc'], refused: ['IMAGE_INVALID'] },
  { does: 'has a volume in ours', changes: ['VOLUME /.manyhands'], refused: ['IMAGE_INVALID'] },
  {
    does: 'has volumes where the mounts are',
    changes: ['VOLUME ["/in","/out","/tmp"]'],
    probe: 'echo x >/out/f; grep -c " /tmp tmpfs .*noexec" /proc/mounts',
    held: /^1\n$/,
    out: ['f'],
  },
  {
    does: 'works in a directory of the engine that was left open',
    changes: ['WORKDIR /proc/self/fd/8'],
    refused: ['IMAGE_INVALID'],
  },
  {
    does: 'works in one by a link',
    changes: ['WORKDIR /work'],
    entries: [{ path: 'work', target: '/proc/self/fd/8' }],
    probe: ownersRoot,
    held: /^$/,
    refused: ['COMMAND_INVALID'],
  },
  { does: 'works above its root', changes: ['WORKDIR ../../..'], probe: ownersRoot, held: /^$/ },
  {
    does: 'preloads a library',
    changes: ['ENV LD_PRELOAD=/evil.so LD_LIBRARY_PATH=/ LD_AUDIT=/evil.so'],
    entries: [{ path: 'evil.so', content: 'no library' }],
    probe: 'id -u',
    held: /^10001\n$/,
  },
  { does: 'sets 5,000 variables', changes: [`ENV ${many}`], refused: ['IMAGE_INVALID'] },
  {
    does: 'checks its health by writing',
    changes: ['HEALTHCHECK --interval=100ms CMD ["/bin/touch","/out/checked"]'],
    probe: 'sleep 0.7; ls /out',
    held: /^$/,
  },
  {
    does: 'has an entry point in a shell',
    changes: ['ENTRYPOINT /bin/touch /out/entry; exec /bin/sh'],
    probe: 'ls /out; cat /proc/1/cmdline | head -c 5',
    held: /^[^e]*$/,
  },
  {
    does: 'exposes ports',
    changes: ['EXPOSE 22 80/tcp'],
    probe: 'ls /sys/class/net',
    held: /^lo\n$/,
  },
  {
    does: 'brings setuid programs',
    entries: [setuid('bin/become'), { path: 'bin/su', mode: 0o6755, content: '' }],
    probe: '/bin/become; grep NoNewPrivs /proc/self/status',
    held: /^10001\nNoNewPrivs:\t1\n$/,
  },
  {
    does: 'names our user root in /etc/passwd and gives it groups',
    entries: [
      { path: 'etc/passwd', content: '10001:x:0:0::/:/bin/sh\nevil:x:10001:0::/:/bin/sh\n' },
      { path: 'etc/group', content: 'root:x:0:evil,10001\ndisk:x:6:evil\n' },
    ],
    probe: 'grep -E "^(Uid|Gid|Groups):" /proc/self/status; cat /out/x 2>/dev/null',
    held: /^Uid:(\t10001){4}\nGid:(\t10001){4}\nGroups:\t ?(10001 ?)?\n$/,
  },
  {
    does: 'brings a first process of its own',
    entries: [{ path: '.manyhands/init', content: '#!/bin/sh\necho evil\n' }],
    probe: 'echo mine',
    held: /^mine\n$/,
  },
  {
    does: 'has a file where our directory goes',
    entries: [{ path: '.manyhands', content: 'x' }],
    probe: 'echo mine',
    held: /^mine\n$/,
    refused: ['RUNTIME_FAILED', 'COMMAND_INVALID', 'IMAGE_INVALID'],
  },
  {
    does: 'has a link from /out to /etc',
    entries: [{ path: 'out', target: '/etc' }],
    probe: `id -u; ${ownersRoot}`,
    held: /^10001\n$/,
    // Where the engine mounts its own files: empty ones, in the outputs of this very task.
    out: ['hostname', 'hosts', 'resolv.conf'],
  },
  ...(
    [
      ['.manyhands', '/out'],
      ['.manyhands', '/proc/self/fd'],
      ['out', '/'],
      ['out', '/proc'],
      ['out', '/proc/self/root'],
      ['out', '../../../../../..'],
      ['in', '/proc/1'],
      ['in', '/etc'],
      ['in', '/.manyhands'],
      ['tmp', '/'],
      ['tmp', '/proc'],
      ['tmp', '/out'],
      ['run', '/'],
    ] as const
  ).map(
    ([path, target]): HostileImage => ({
      does: `has a link from /${path} to ${target}`,
      entries: [{ path, target }],
      probe: `id -u; ${ownersRoot}`,
      held: /^10001\n$/,
      refused: ['RUNTIME_FAILED', 'COMMAND_INVALID', 'IMAGE_INVALID'],
    }),
  ),
]

describe.skipIf(!(await engineForTests()))('a hostile image', () => {
  let sandbox: SandboxForTests
  const made: string[] = []
  beforeAll(async () => {
    sandbox = await SandboxForTests.open()
  })
  afterAll(async () => {
    await sandbox[Symbol.asyncDispose]()
    for (const tag of made) await engine.getImage(tag).remove({ force: true })
  })

  async function image(changes: string[] = [], entries: ImageEntry[] = []): Promise<string> {
    const tag = `manyhands-test/hostile-${sandbox.hostInstance.slice(5)}-${made.length}:1`
    await ensureImage(engine, tag, changes, entries)
    made.push(tag)
    return tag
  }

  async function volumeNames(id: string): Promise<string[]> {
    const { Mounts } = await engine.getContainer(id).inspect()
    return Mounts.flatMap(({ Type, Name }) => (Type === 'volume' && Name ? [Name] : []))
  }

  it.for(IMAGES.map((row) => [row.does, row] as const))(
    'that %s is refused or harmless',
    async ([, row]) => {
      const asked = {
        image: await image(row.changes, row.entries),
        command: ['/bin/sh', '-c', row.probe ?? 'true'],
      }
      const started = await sandbox.start(asked, { inputs: { a: 'mine' } }).catch((error) => error)
      if (started instanceof Error) {
        expect(started).toBeInstanceOf(ManyhandsError)
        expect(row.refused ?? [started.message]).toContain((started as ManyhandsError).code)
      } else {
        const { task, workspace } = started
        const text = textOf(task)
        const volumes = await volumeNames(task.handle.id)
        await task.wait()
        await task.remove()
        expect((await text).stdout).toMatch(row.held ?? /^never run$/)
        expect(await readdir(workspace.outDir)).toEqual(row.out ?? [])
        expect(await readdir(workspace.inDir!)).toEqual(['a'])
        const { Volumes } = await engine.listVolumes()
        expect(Volumes.filter(({ Name }) => volumes.includes(Name))).toEqual([])
      }
      expect(await sandbox.runtime.list()).toEqual([])
    },
  )

  it.for(['SIGKILL', 'RTMIN+3'])(
    'that wants to be stopped by %s is stopped by TERM',
    async (signal) => {
      const tag = `manyhands-test/hostile-${sandbox.hostInstance.slice(5)}-${made.length}:1`
      made.push(tag)
      await buildImage(engine, tag, [`FROM ${BUSYBOX_IMAGE}`, `STOPSIGNAL ${signal}`])
      const script = 'trap "echo told; exit 0" TERM; echo ready; while :; do sleep 0.1; done'
      const { task } = await sandbox.start({ image: tag, command: ['/bin/sh', '-c', script] })
      const reader = task.output()[Symbol.asyncIterator]()
      expect(Buffer.from((await reader.next()).value?.bytes ?? []).toString()).toBe('ready\n')
      await task.stop({ graceMs: 10_000 })
      expect(Buffer.from((await reader.next()).value?.bytes ?? []).toString()).toBe('told\n')
      expect((await task.wait()).reason).toBe('stopped')
      await task.remove()
    },
  )

  // The engine looks for its additional group by name first (20.10 and later: our own gid). Nothing in
  // the sandbox is open to a group but what is open to all, yet the promise is: no group but ours.
  it('that names a group by our number is refused', async () => {
    const group = { path: 'etc/group', content: '10001:x:0:\n' }
    const asked = {
      image: await image([], [group]),
      command: ['/bin/grep', 'Groups', '/proc/1/status'],
    }
    await expect(sandbox.run(asked)).rejects.toMatchObject({ code: 'IMAGE_INVALID' })
  })

  it('with our labels does not make a container of somebody else ours', async () => {
    const labels = ['host', 'client', 'job', 'attempt'].map(
      (name) => `LABEL manyhands.${name}=${name === 'host' ? sandbox.hostInstance : 'task.1'}`,
    )
    const Image = await image(labels)
    const stranger = await engine.createContainer({ Image, Cmd: ['/bin/sleep', '100'] })
    try {
      await stranger.start()
      expect(await sandbox.runtime.list()).toEqual([])
      const handle = { v: 1 as const, runtime: 'docker', id: stranger.id }
      expect(await sandbox.runtime.recover(handle)).toBe(undefined)
      await sandbox.reopen()
      expect(await sandbox.runtime.list()).toEqual([])
      expect((await stranger.inspect()).State.Running).toBe(true)
      // An attempt of ours in the same image is ours by our own labels.
      const { task } = await sandbox.start({ image: Image, command: ['/bin/sleep', '100'] })
      expect(await sandbox.runtime.list()).toEqual([task.handle])
      await task.remove()
    } finally {
      await stranger.remove({ force: true })
    }
  })

  it('leaves the image that everybody uses as it was', async () => {
    const { stdout } = await sandbox.run({ image: BUSYBOX_IMAGE, command: ['/bin/ls', '-A', '/'] })
    expect(stdout).not.toMatch(/evil|work/)
  })
})

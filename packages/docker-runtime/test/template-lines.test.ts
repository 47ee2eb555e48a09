import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, ensureImage } from '../../../scripts/docker-images.ts'
import { engine, engineForTests } from './engine-for-tests.ts'
import { RawContainers } from './raw-container.ts'
import {
  LINE_IMAGES,
  LINES_WITHOUT_ATTACK,
  TEMPLATE_LINES,
  type TemplateLine,
} from './template-lines.ts'

const run = promisify(execFile)

describe.skipIf(!(await engineForTests()))('the template holds because of its line', () => {
  let containers: RawContainers
  beforeAll(async () => {
    containers = await RawContainers.open()
    for (const { tag, changes } of Object.values(LINE_IMAGES)) {
      await ensureImage(engine, tag, [...changes])
    }
  })
  afterAll(async () => {
    await containers[Symbol.asyncDispose]()
    for (const { tag } of Object.values(LINE_IMAGES)) {
      await engine.getImage(tag).remove({ force: true })
    }
  })

  async function attack(row: TemplateLine, loosened: boolean): Promise<string> {
    const workspace = await containers.workspace()
    const command = ['/bin/sh', '-c', row.script ?? 'true']
    const asked = { image: BUSYBOX_IMAGE, command, ...row.asked }
    const template = containers.template(asked, workspace)
    row.behind?.without(template)
    if (loosened) row.loosen(template)
    const end = await containers.run(template, workspace)
    if (row.broken === undefined) return end.stdout.trim() || `ended with ${end.exitCode}`
    return (await row.broken(end)) ? 'BROKEN' : 'HELD'
  }

  it.for(TEMPLATE_LINES.map((row) => [row.line, row.attack, row] as const))(
    '%s: a task that %s',
    async ([, , row]) => {
      const [held, broken] = await Promise.all([attack(row, false), attack(row, true)])
      expect(held, 'with the line').toBe('HELD')
      expect(broken, 'without the line the attack must work, or it shows nothing').toBe('BROKEN')
    },
  )

  it.runIf(process.getuid?.() === 0)(
    'Mounts rprivate: a task that sees what the owner mounts later',
    async () => {
      const seen = async (propagation: 'rprivate' | 'rslave') => {
        const workspace = await containers.workspace()
        const below = join(workspace.outDir, 'later')
        await mkdir(below)
        // Only a shared mount can tell others of new ones; whether the disk is one differs.
        await run('mount', ['--bind', workspace.outDir, workspace.outDir])
        try {
          await run('mount', ['--make-shared', workspace.outDir])
          const command = [
            '/bin/sh',
            '-c',
            'until [ -e /out/go ]; do sleep 0.05; done; cat /out/later/secret 2>/dev/null || echo HELD',
          ]
          const template = containers.template({ image: BUSYBOX_IMAGE, command }, workspace)
          for (const mount of template.HostConfig.Mounts!) {
            if (mount.Target === '/out') mount.BindOptions = { Propagation: propagation }
          }
          const container = await engine.createContainer({ ...template })
          const attached = await container.attach({ stream: true, stdout: true, stderr: true })
          let text = ''
          attached.on('data', (bytes: Buffer) => {
            text += bytes.toString('latin1')
          })
          const drained = once(attached, 'close')
          await container.start()
          await run('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', below])
          try {
            await writeFile(join(below, 'secret'), 'BROKEN')
            await writeFile(join(workspace.outDir, 'go'), '')
            await drained
          } finally {
            await run('umount', [below])
          }
          return text
        } finally {
          await run('umount', ['-l', workspace.outDir])
        }
      }
      expect(await seen('rprivate')).toContain('HELD')
      expect(await seen('rslave')).toContain('BROKEN')
    },
  )

  it('and no line of the engine’s configuration is without an attack or a reason', async () => {
    const workspace = await containers.workspace()
    const { HostConfig } = containers.template({ image: BUSYBOX_IMAGE, command: ['x'] }, workspace)
    const attacked = new Set(TEMPLATE_LINES.map(({ line }) => line.split(' ')[0]))
    const unaccounted = Object.keys(HostConfig).filter(
      (line) => !attacked.has(line) && !(line in LINES_WITHOUT_ATTACK),
    )
    expect(unaccounted).toEqual([])
  })
})

import { execFile, spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { finished } from 'node:stream/promises'
import { promisify } from 'node:util'
import { engine } from './engine.ts'

/** Named after the version, so that another Node makes another image. */
const IMAGE = `manyhands-bench/node:${process.versions.node}`

/** An image with this Node at /bin/node and what it links to, for work that times itself. */
export async function ensureNodeImage(): Promise<string> {
  const present = await engine
    .getImage(IMAGE)
    .inspect()
    .catch(() => undefined)
  if (present !== undefined) return IMAGE
  const root = await mkdtemp(join(tmpdir(), 'manyhands-bench-'))
  try {
    const { stdout } = await promisify(execFile)('ldd', [process.execPath])
    const libraries = stdout.match(/\/\S+/g) ?? []
    for (const [from, to] of [...libraries.map((path) => [path, path]), NODE] as const) {
      await mkdir(dirname(join(root, to!)), { recursive: true })
      await copyFile(from!, join(root, to!))
    }
    await mkdir(join(root, 'tmp'))
    const tar = spawn('tar', ['-C', root, '-c', '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [repo, tag] = IMAGE.split(':')
    const progress = await engine.importImage(tar.stdout as never, { repo, tag })
    progress.resume()
    await finished(progress)
    return IMAGE
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

const NODE = [process.execPath, '/bin/node'] as const

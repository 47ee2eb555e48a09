import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ImageDocument } from '@manyhands/core'
import { configOf, digestOf, tar } from './tar-for-tests.ts'

/** A layer with one file of a name and so many bytes. */
export function layerOf(name: string, bytes = 1000): Buffer {
  return tar([{ name, body: Buffer.alloc(bytes, name) }])
}

/** A layer from which programs can run. */
export async function busyboxLayer(): Promise<Buffer> {
  const executable = (block: Buffer) => block.write('0000755\0', 100, 'latin1')
  return tar([
    { name: 'bin/', type: '5', change: executable },
    { name: 'bin/busybox', body: await readFile('/bin/busybox'), change: executable },
    { name: 'bin/sh', type: '2', linkName: 'busybox' },
  ])
}

export function imageOf(layers: Uint8Array[], more: object = {}): ImageDocument {
  const diffIds = layers.map((layer) => digestOf(layer))
  const config = configOf(diffIds, more)
  return {
    v: 1,
    id: digestOf(config),
    reference: 'my:1',
    config: new Uint8Array(config),
    layers: layers.map((layer, index) => ({
      diffId: diffIds[index]!,
      size: layer.length,
      root: digestOf(`root of ${diffIds[index]}`),
    })),
  }
}

/** Files of the layers that are asked for, as a host has them. */
export async function filesOf(
  dir: string,
  layers: Uint8Array[],
  wanted: readonly number[],
): Promise<Map<number, string>> {
  const files = new Map<number, string>()
  for (const index of wanted) {
    const path = join(dir, `${digestOf(layers[index]!).slice(7)}.tar`)
    await writeFile(path, layers[index]!)
    files.set(index, path)
  }
  return files
}

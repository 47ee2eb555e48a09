import { ManyhandsError } from '@manyhands/core'

// Stands for local-paths.ts in a browser, where nothing lies at a path.

export function inputPath(path: string): string {
  throw new ManyhandsError('INPUT_UNREADABLE', `${path}: a browser has no files at paths`, {
    hint: 'Give bytes, a Blob or a File.',
  })
}

export function outputPath(path: string): string {
  throw new ManyhandsError('CONFIG_INVALID', `${path}: a browser has no files at paths`, {
    hint: 'Take the bytes: outputs.read(path) of a result, bytes() of a streamed file.',
  })
}

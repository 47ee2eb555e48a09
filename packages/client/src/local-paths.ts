import { resolve } from 'node:path'

/** Where an input lies on this computer; see browser/local-paths.ts. @throws INPUT_UNREADABLE */
export function inputPath(path: string): string {
  return resolve(path)
}

/** Where outputs go on this computer. @throws CONFIG_INVALID */
export function outputPath(path: string): string {
  return resolve(path)
}

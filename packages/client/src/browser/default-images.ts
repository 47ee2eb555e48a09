import type { ImageSource } from '@manyhands/core'

/** Stands for images/default-images.ts in a browser: no engine is asked for what it has. */
export function defaultImages(): () => Promise<ImageSource[]> {
  return async () => []
}

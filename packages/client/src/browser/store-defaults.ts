// Stands for store-defaults.ts in a browser, where all of it is memory.

export const DEFAULT_KEEP = '128MiB'
export const DEFAULT_IMAGE_CACHE = '0B'

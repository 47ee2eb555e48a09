import manifest from '../package.json' with { type: 'json' }

/** Version of this package: what callers compare with their own. */
export const VERSION: string = manifest.version

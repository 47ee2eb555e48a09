import type { SqlModule } from 'sql.js'
import { ManyhandsError } from '../errors.ts'

let loaded: SqlModule | undefined
let loading: Promise<void> | undefined

/**
 * Brings SQLite, a third of everything that a page loads: when the first client is made, and not before.
 *
 * @throws CONFIG_INVALID where the page forbids WebAssembly
 */
export async function loadSql(): Promise<void> {
  loading ??= load()
  try {
    await loading
  } catch (cause) {
    loading = undefined
    throw new ManyhandsError('CONFIG_INVALID', `SQLite does not start: ${String(cause)}`, {
      cause,
      hint: "The page's Content-Security-Policy must allow 'wasm-unsafe-eval'.",
    })
  }
}

/** @throws where {@link loadSql} was not waited for */
export function sqlModule(): SqlModule {
  if (loaded !== undefined) return loaded
  throw new ManyhandsError('INTERNAL', 'SQLite was not loaded yet')
}

async function load(): Promise<void> {
  const [{ default: initialize }, { default: wasmBinary }] = await Promise.all([
    import('sql.js/dist/sql-wasm-browser.js'),
    import('sql.js/dist/sql-wasm-browser.wasm'),
  ])
  loaded = await initialize({ wasmBinary: wasmBinary.buffer })
}

// The part of sql.js that is used here; the package brings no types.

declare module 'sql.js' {
  export type BindValue = number | string | Uint8Array | null

  export interface Statement {
    bind(values: BindValue[]): boolean
    step(): boolean
    get(): unknown[]
    getColumnNames(): string[]
    reset(): void
    free(): boolean
  }

  export interface Database {
    exec(sql: string): unknown
    prepare(sql: string): Statement
    getRowsModified(): number
    close(): void
  }

  export interface SqlModule {
    Database: new () => Database
  }
}

declare module 'sql.js/dist/sql-wasm-browser.js' {
  const initialize: (options: {
    wasmBinary: ArrayBufferLike
  }) => Promise<import('sql.js').SqlModule>

  export { initialize as default }
}

declare module 'sql.js/dist/sql-wasm-browser.wasm' {
  const bytes: Uint8Array

  export { bytes as default }
}

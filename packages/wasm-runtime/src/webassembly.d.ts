/** The part of the WebAssembly API that is used here; the compiler knows it only with the browser's. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>)
    static imports(module: Module): { module: string; name: string; kind: string }[]
    static exports(module: Module): { name: string; kind: string }[]
  }

  class Memory {
    constructor(limits: { initial: number; maximum: number })
    readonly buffer: ArrayBuffer
  }

  class Global {
    readonly value: unknown
  }

  class Instance {
    constructor(module: Module, imports: Record<string, object>)
    readonly exports: Record<string, unknown>
  }

  function validate(bytes: Uint8Array<ArrayBuffer>): boolean

  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>
}

export { WASM_LIMITS } from './wasm-limits.ts'
export { type WasmOptions, wasm } from './wasm-runtime.ts'

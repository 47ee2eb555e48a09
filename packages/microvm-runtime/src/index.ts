export { MICROVM_LIMITS } from './microvm-limits.ts'
export { type MicrovmOptions, microvm } from './microvm-runtime.ts'

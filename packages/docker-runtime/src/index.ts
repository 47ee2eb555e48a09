export type { EngineAddress, EngineEnvironment, EngineTls } from './connect/engine-address.ts'
export type { DockerOptions } from './docker-options.ts'
export { docker } from './docker-runtime.ts'
export { EGRESS_LIMITS } from './egress/egress-limits.ts'
export {
  type EngineExamination,
  type EngineReport,
  examineEngines,
} from './engine-examination.ts'
export type { GpuQuery, GpuReading } from './gpu-query.ts'
export { dockerImages } from './images/docker-images.ts'
export type { IsolationChoice, IsolationLevel } from './isolation.ts'

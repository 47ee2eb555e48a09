export { type DockerOptions, docker } from './docker-runtime.ts'
export type { EngineAddress } from './engine.ts'
export type { Isolation } from './isolation.ts'

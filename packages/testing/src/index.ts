export {
  createLocalNetwork,
  type LocalHostOptions,
  type LocalNetwork,
  type LocalNetworkOptions,
} from './local-network.ts'
export { type ScriptedOptions, scripted } from './scripted-runtime.ts'
export type { Script } from './scripted-script.ts'
export type {
  SimulatedClientOptions,
  SimulatedNetwork,
  SimulatedNetworkOptions,
} from './simulated/simulate-network.ts'
export type {
  SimulatedChurn,
  SimulatedHostOptions,
  SimulatedLinkOptions,
  SimulatedTask,
  SimulateOptions,
} from './simulated/simulate-options.ts'
export type { SimulatedHost } from './simulated/simulated-host.ts'
export { createVirtualClock, type VirtualClock } from './simulated/virtual-clock.ts'

export {
  createLocalNetwork,
  type LocalHostOptions,
  type LocalNetwork,
  type LocalNetworkOptions,
} from './local-network.ts'
export { type ScriptedOptions, scripted } from './scripted-runtime.ts'
export type { Script } from './scripted-script.ts'

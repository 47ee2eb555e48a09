export { type ControlClient, createControlClient } from './control-client.ts'
export {
  type ControlDocument,
  readControlFile,
  removeControlFile,
  writeControlFile,
} from './control-file.ts'
export {
  type ControlServer,
  type ControlServerOptions,
  createControlServer,
} from './control-server.ts'

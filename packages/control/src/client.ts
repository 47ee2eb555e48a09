/** What a program needs that only talks to a running host; without the server's dependencies. */
export { type ControlClient, createControlClient } from './control-client.ts'
export {
  type ControlDocument,
  readControlFile,
  removeControlFile,
  writeControlFile,
} from './control-file.ts'

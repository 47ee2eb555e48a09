export { webrtc } from './webrtc.ts'
export type { TurnServer, WebRtcOptions } from './webrtc-options.ts'

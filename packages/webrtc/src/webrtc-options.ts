/** A server that passes data on between peers that find no way to each other. */
export interface TurnServer {
  /** `turn:HOST:PORT` */
  url: string
  username: string
  credential: string
}

export interface WebRtcOptions {
  /**
   * STUN servers, `stun:HOST:PORT`, which tell a peer its address outside. They learn that address and the
   * time, nothing else. Default: none is contacted; then peers find each other only where no router
   * translates addresses.
   */
  stun?: string[]
  /** TURN servers, for peers behind routers that are strict on both sides. Default: none. */
  turn?: TurnServer[]
}

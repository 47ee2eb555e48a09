/**
 * One more way to connect, made by a package of its own, such as `webrtc()` of `@manyhands/webrtc`, for
 * `NetworkOptions.transports`. What is in it is between that package and the network.
 */
export interface TransportPlugin {
  /** For people: `'webrtc'`. */
  readonly name: string
  /**
   * Makes the libp2p transport, once for each network. What the package needs is loaded here and not
   * before.
   *
   * @throws CONFIG_INVALID when it cannot be loaded on this computer
   */
  create(): Promise<unknown>
}

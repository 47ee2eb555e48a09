/** Bounds of what a router is asked, with their reasons. Anybody on the local network can say to be one. */
export const MAPPING = {
  /** How long routers have to answer a search, ms, and when it is asked again meanwhile: packets get lost. */
  searchMs: 3000,
  askAgainMs: [0, 500, 1500],
  /** Routers that are looked at, the first to answer. */
  gateways: 4,
  /** Bytes of one answer to a search, and of one document. */
  answerBytes: 2048,
  documentBytes: 256 * 1024,
  /** How long a router may take for one answer, ms. */
  requestMs: 5000,
  /** Ports that are asked for. */
  ports: 8,
  /** Other ports that are tried when one is taken. */
  otherPorts: 4,
  /** How long a mapping lasts that nobody renews: this many times the renewal. */
  leasePeriods: 12,
  /** How long the router has to take mappings back when the network closes, ms. */
  removeMs: 2000,
} as const

/** What came of asking the router for ports. */
export interface PortMapping {
  /** `searching`: it has not been asked yet. */
  state: 'searching' | 'mapped' | 'none'
  /** Addresses outside, `203.0.113.7:4001`. */
  outside: string[]
  /** Why there is none, in plain words. */
  reason?: string
}

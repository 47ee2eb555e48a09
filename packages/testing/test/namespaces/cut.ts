import type { Namespace } from './namespace.ts'

/** `drop`: packets vanish; `reset`: their senders are told that nobody listens any more. */
export type CutKind = 'drop' | 'reset'

let cuts = 0

/** One direction between two addresses, and where packets on their way through it can be caught. */
export interface Way {
  at: Namespace
  hook: 'forward' | 'input'
  source: string
  destination: string
}

/** Interrupts ways until it is healed. */
export class Cut implements AsyncDisposable {
  readonly #ways: Way[]
  readonly #kind: CutKind
  readonly #table: string
  #open = false

  constructor(ways: Way[], kind: CutKind) {
    cuts += 1
    this.#table = `cut${cuts}`
    this.#ways = ways
    this.#kind = kind
  }

  /** Again, after {@link heal}. */
  async cut(): Promise<void> {
    if (this.#open) return
    this.#open = true
    await Promise.all(this.#places().map((at) => at.nft(this.#rules(at))))
  }

  async heal(): Promise<void> {
    if (!this.#open) return
    this.#open = false
    await Promise.all(this.#places().map((at) => at.nft(`delete table ip ${this.#table}`)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.heal()
  }

  #places(): Namespace[] {
    return [...new Set(this.#ways.map(({ at }) => at))]
  }

  #rules(at: Namespace): string {
    const here = this.#ways.filter((way) => way.at === at)
    const chain = (hook: Way['hook']): string => {
      const rules = here
        .filter((way) => way.hook === hook)
        .flatMap(({ source, destination }) => {
          const packets = `ip saddr ${source} ip daddr ${destination}`
          if (this.#kind === 'drop') return [`${packets} drop`]
          return [
            // What the other direction's rules say must get through.
            `${packets} tcp flags & rst == rst accept`,
            `${packets} icmp type destination-unreachable accept`,
            `${packets} meta l4proto tcp reject with tcp reset`,
            `${packets} reject`,
          ]
        })
      return `chain ${hook} {
  type filter hook ${hook} priority -10; policy accept;
  ${rules.join('\n  ')}
}`
    }
    return `table ip ${this.#table} {\n${chain('forward')}\n${chain('input')}\n}\n`
  }
}

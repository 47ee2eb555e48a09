import { ManyhandsError } from '../errors.ts'

const REMEMBERED = 64

/**
 * Why connections were refused. The layers between hand on the text of an error alone, which is what it is
 * found by.
 */
export class RefusalMemory {
  readonly #errors = new Map<string, ManyhandsError>()
  #last: ManyhandsError | undefined

  get last(): ManyhandsError | undefined {
    return this.#last
  }

  keep(error: unknown): void {
    if (!(error instanceof ManyhandsError)) return
    this.#last = error
    this.#errors.delete(error.message)
    this.#errors.set(error.message, error)
    const [oldest] = this.#errors.keys()
    if (this.#errors.size > REMEMBERED) this.#errors.delete(oldest as string)
  }

  /** The refusal that an error comes from. */
  of(thrown: unknown): ManyhandsError | undefined {
    if (thrown instanceof ManyhandsError) return thrown
    if (thrown instanceof AggregateError) {
      const found = thrown.errors.map((error) => this.of(error))
      // Of several addresses, one where somebody has said why tells more than one where nobody is.
      return found.find((error) => error !== undefined && error.code !== 'CONNECT_FAILED')
    }
    return this.#errors.get((thrown as Error | undefined)?.message ?? '')
  }
}

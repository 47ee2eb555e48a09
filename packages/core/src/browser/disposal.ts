// Explicit resource management for browsers that have none yet, under the names that compilers use for it.

type Release = () => unknown

/** The part of the class of that name that is used here. */
class Stack {
  #releases: Release[] = []

  defer(release: Release): void {
    this.#releases.push(release)
  }

  move(): Stack {
    const moved = new Stack()
    moved.#releases = this.#releases
    this.#releases = []
    return moved
  }

  /** The last first. Of several failures the first is told. */
  async disposeAsync(): Promise<void> {
    const failures: unknown[] = []
    for (const release of this.#releases.splice(0).reverse()) {
      try {
        await release()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  async [asyncDisposal()](): Promise<void> {
    await this.disposeAsync()
  }
}

function asyncDisposal(): typeof Symbol.asyncDispose {
  const known = Reflect.get(Symbol, 'asyncDispose') as typeof Symbol.asyncDispose | undefined
  return known ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose)
}

export const asyncDispose = asyncDisposal()

export const AsyncDisposableStack = globalThis.AsyncDisposableStack ?? Stack

import { WASM_LIMITS } from '../wasm-limits.ts'
import { DiskExceeded, WasiError } from './errno.ts'

/** What a task may keep below /out. Charged before anything is allocated. */
export class Quota {
  readonly #limitBytes: number
  readonly #onChange: (usedBytes: number) => void
  #usedBytes = 0
  #entries = 0

  constructor(limitBytes: number, onChange: (usedBytes: number) => void) {
    this.#limitBytes = limitBytes
    this.#onChange = onChange
  }

  /** @throws DiskExceeded, which ends the task */
  charge(bytes: number): void {
    if (this.#usedBytes + bytes > this.#limitBytes) {
      throw new DiskExceeded(`more than ${this.#limitBytes} bytes below /out`)
    }
    this.#usedBytes += bytes
    this.#onChange(this.#usedBytes)
  }

  addEntry(): void {
    if (this.#entries >= WASM_LIMITS.outEntries) throw new WasiError('MFILE')
    this.charge(WASM_LIMITS.outEntryBytes)
    this.#entries += 1
  }

  removeEntry(): void {
    this.#entries -= 1
    this.charge(-WASM_LIMITS.outEntryBytes)
  }
}

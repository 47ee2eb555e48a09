/** One follower's view of a transfer that others may follow too. */
export interface FollowedTransfer {
  /** It was under way before this follower came. */
  readonly joined: boolean
  /** So much has come in all; returns what no follower has counted yet. */
  fresh(bytes: number): number
  /** This follower leaves; the last one ends the count. */
  end(): void
}

/** Lets the bytes of a transfer be counted once, however many follow it. */
export class TransferCounts {
  readonly #transfers = new Map<string, { followers: number; bytes: number }>()

  follow(root: string): FollowedTransfer {
    const transfer = this.#transfers.get(root) ?? { followers: 0, bytes: 0 }
    this.#transfers.set(root, transfer)
    transfer.followers += 1
    return {
      joined: transfer.followers > 1,
      fresh: (bytes) => {
        const fresh = Math.max(0, bytes - transfer.bytes)
        transfer.bytes += fresh
        return fresh
      },
      end: () => {
        transfer.followers -= 1
        if (transfer.followers === 0) this.#transfers.delete(root)
      },
    }
  }
}

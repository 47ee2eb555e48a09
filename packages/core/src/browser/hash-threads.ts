// Stands for hashing/hash-threads.ts in a browser: there are none, and files are hashed in turns.

export class HashThreads {
  async run(): Promise<undefined> {
    return undefined
  }

  async close(): Promise<void> {}
}

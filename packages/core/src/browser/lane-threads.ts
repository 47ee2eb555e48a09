// Stands for transfer/lane-threads.ts in a browser: content comes over streams of the connection.

export class LaneThreads {
  async close(): Promise<void> {}
}

/**
 * Runs `work` over what an iterable yields, at most `limit` at once. The first failure stops the
 * iteration and is thrown after what was begun has ended, so that nothing works on behind the back.
 */
export async function concurrently<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  limit: number,
  work: (item: Item) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = []
  let running = 0
  let ended = () => {}
  const end = () => {
    running -= 1
    ended()
  }
  // Not a race of all that run: each of them would cost as much as there are.
  const oneEnded = () =>
    new Promise<void>((resolve) => {
      ended = resolve
    })
  try {
    for await (const item of items) {
      running += 1
      work(item).then(end, (error) => {
        failures.push(error)
        end()
      })
      if (running >= limit) await oneEnded()
      if (failures.length > 0) break
    }
  } finally {
    while (running > 0) await oneEnded()
  }
  if (failures.length > 0) throw failures[0]
}

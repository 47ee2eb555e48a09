/** What was waited for, unless the attempt is to end before it comes. @throws the signal's reason */
export async function unlessEnded<Value>(
  coming: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  const ended = Promise.withResolvers<never>()
  const end = () => ended.reject(signal.reason)
  signal.addEventListener('abort', end, { once: true })
  if (signal.aborted) end()
  try {
    return await Promise.race([coming, ended.promise])
  } finally {
    signal.removeEventListener('abort', end)
  }
}

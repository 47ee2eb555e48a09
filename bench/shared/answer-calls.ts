/** What is done for a parent that asks by calls.ts. */
export type CallAnswers = Record<string, (params: never) => Promise<unknown>>

/**
 * Answers calls of the parent, one after another or at once, and ends with it. Also for programs in
 * JavaScript that have packages of their own.
 */
export function answerCalls(answers: CallAnswers, hello: unknown): void {
  // The parent may have been killed meanwhile.
  const tell = (answer: object) => process.connected && process.send!(answer)
  process.on('message', ({ id, name, params }: { id: number; name: string; params: never }) => {
    answers[name]!(params).then(
      (result) => tell({ id, result }),
      (error) => tell({ id, error: String(error?.stack ?? error) }),
    )
  })
  process.on('disconnect', () => process.exit(0))
  tell({ id: 0, result: hello })
}

import { createInterface } from 'node:readline'
import { toManyhandsError } from '@manyhands/core'
import type { Questions } from './asked-process.ts'

const line = (said: object): void => {
  process.stdout.write(`${JSON.stringify(said)}\n`)
}

/** Says something without being asked. */
export const tell = (told: object): void => line({ told })

/** Answers who started this process, an {@link AskedProcess}, until there are no more questions. */
export async function answerQuestions<Asked extends Questions<Asked>>(
  ready: object,
  answers: { [Name in keyof Asked]: (asked: Asked[Name][0]) => Promise<Asked[Name][1]> },
): Promise<void> {
  const answer = async (text: string): Promise<void> => {
    const { id, do: name, asked } = JSON.parse(text)
    try {
      line({ id, result: (await answers[name as keyof Asked](asked)) ?? null })
    } catch (error) {
      line({ id, error: toManyhandsError(error).toJSON() })
    }
  }
  line({ ready })
  for await (const text of createInterface({ input: process.stdin })) void answer(text)
}

/**
 * Writes the table of docs/guides/errors.md from the error table in the code:
 *
 *   node --conditions=@manyhands/source scripts/errors-table.ts
 */
import { readFile, writeFile } from 'node:fs/promises'
import { type Blame, ERRORS } from '@manyhands/core'

const BEGIN = '<!-- errors:begin -->'
const END = '<!-- errors:end -->'
const BLAMES: Record<Blame, string> = {
  caller: 'What the caller asked for',
  task: 'What the task did',
  host: 'What the host said or did',
  network: 'What happened on the way',
  internal: 'What we did wrong',
}

export const errorsPage = new URL('../docs/guides/errors.md', import.meta.url)

/** The tables as Markdown, one for each blame. */
export function errorsTable(): string {
  const sections = (Object.keys(BLAMES) as Blame[]).map((blame) => {
    const rows = Object.entries(ERRORS)
      .filter(([, row]) => row.blame === blame)
      .map(
        ([code, row]) =>
          `| \`${code}\` | ${row.retryable ? 'yes' : 'no'} | ${row.exit} | ${row.status} | ${row.hint} |`,
      )
    return [
      `### \`${blame}\`: ${BLAMES[blame][0]!.toLowerCase()}${BLAMES[blame].slice(1)}`,
      '',
      '| code | try again | exit | HTTP | what to do |',
      '|---|---|---|---|---|',
      ...rows,
    ].join('\n')
  })
  return sections.join('\n\n')
}

/** The page with its tables replaced by those of the code. */
export function withErrorsTable(page: string): string {
  const from = page.indexOf(BEGIN)
  const to = page.indexOf(END)
  if (from < 0 || to < from) throw new Error(`docs/guides/errors.md lacks ${BEGIN} … ${END}`)
  return `${page.slice(0, from + BEGIN.length)}\n${errorsTable()}\n${page.slice(to)}`
}

if (import.meta.main) {
  await writeFile(errorsPage, withErrorsTable(await readFile(errorsPage, 'utf8')))
}

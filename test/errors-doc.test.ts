import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { errorsPage, withErrorsTable } from '../scripts/errors-table.ts'

/** The formatter widens tables; their words are what counts. */
const words = (page: string) =>
  page
    .split('\n')
    .filter((line) => !/^\|[\s|-]+\|$/.test(line))
    .map((line) => line.replace(/ +/g, ' ').trim())
    .filter((line) => line !== '')

it('docs/guides/errors.md shows the error table of the code (scripts/errors-table.ts writes it)', async () => {
  const page = await readFile(errorsPage, 'utf8')
  expect(words(page)).toEqual(words(withErrorsTable(page)))
})

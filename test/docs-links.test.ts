import { access, glob, readFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../', import.meta.url))

it('relative links in documents lead somewhere', async () => {
  const broken: string[] = []
  let links = 0
  for (const pattern of [
    '*.md',
    'docs/*.md',
    'docs/{guides,decisions}/*.md',
    '{packages,examples}/*/README.md',
  ]) {
    for await (const page of glob(pattern, { cwd: root })) {
      const text = await readFile(resolve(root, page), 'utf8')
      for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)\s#]+)[^)]*\)/g)) {
        links += 1
        const path = resolve(root, dirname(page), decodeURI(target!))
        await access(path).catch(() => broken.push(`${page} → ${target}`))
      }
    }
  }
  expect(links).toBeGreaterThan(20)
  expect(broken).toEqual([])
})

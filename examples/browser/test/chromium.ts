import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { build } from 'esbuild'
import { type Browser, chromium, type Page } from 'playwright-core'
import { onTestFinished } from 'vitest'
import { buildForBrowser } from '../../../scripts/browser-build.ts'

const EXECUTABLE = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => existsSync(path))

/** Where there is no browser its tests are left out, but for CI, which installs one. */
export const noChromium = EXECUTABLE === undefined && process.env['CI'] !== 'true'

/** The packages as they are now, for bundlers that find them in node_modules. */
export async function buildPackages(): Promise<void> {
  for (const name of ['core', 'client']) await buildForBrowser(name)
}

/** A browser for one test. @param flags - more of its command line */
export async function openBrowser(...flags: string[]): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: EXECUTABLE,
    // In containers and as root there is no sandbox of its own.
    args: ['--no-sandbox', ...flags],
  })
  onTestFinished(() => browser.close())
  return browser
}

/** `sdk.createClient` in the page. */
const SDK = `
  import { createClient } from '@manyhands/client'
  globalThis.sdk = { createClient }
`

/** A page with nothing but `createClient`, from a server of its own. */
export async function sdkPage(browser: Browser): Promise<Page> {
  const { outputFiles } = await build({
    stdin: { contents: SDK, resolveDir: import.meta.dirname },
    bundle: true,
    splitting: true,
    format: 'esm',
    outdir: '/',
    write: false,
  })
  const files = new Map(outputFiles.map(({ path, contents }) => [path, contents]))
  const server = createServer(({ url = '/' }, response) => {
    response.setHeader('content-type', url === '/' ? 'text/html' : 'text/javascript')
    const page = '<!doctype html><script type="module" src="/stdin.js"></script>'
    response.end(url === '/' ? page : files.get(url))
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const page = await browser.newPage()
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  await page.waitForFunction('globalThis.sdk !== undefined')
  return page
}

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createClient } from '@manyhands/client'
import { createHost } from '@manyhands/host'
import { wasm } from '@manyhands/wasm-runtime'
import { decode } from 'fast-png'
import type { Page } from 'playwright-core'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { buildTracer } from '../../demo/build-tracer.ts'
import { buildPackages, noChromium, openBrowser } from './chromium.ts'

const SERVE = fileURLToPath(new URL('../serve.ts', import.meta.url))
const FRAMES = 12

beforeAll(buildPackages)

/** Starts what `npm run demo:browser` starts; where the page is. */
async function serve(...args: string[]): Promise<string> {
  const child = spawn(
    process.execPath,
    ['--conditions=@manyhands/source', SERVE, '--port', '0', '--heartbeat', '500ms', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const ended = once(child, 'exit')
  onTestFinished(async () => {
    child.kill('SIGTERM')
    await ended
  })
  const [url] = await once(createInterface({ input: child.stdout }), 'line')
  return String(url)
}

/** Opens the page; what it does wrong fails the test. */
async function open(url: string): Promise<{ page: Page; faults: string[] }> {
  const page = await (await openBrowser()).newPage()
  const faults: string[] = []
  page.on('pageerror', (error) => faults.push(String(error)))
  page.on('console', (message) => {
    const about = message.location().url
    if (message.type() === 'error' && !about.endsWith('favicon.ico')) faults.push(message.text())
  })
  await page.goto(url)
  return { page, faults }
}

/** The same frames as a client outside of any browser gets them. */
async function framesElsewhere(): Promise<Uint8Array[]> {
  await using host = await createHost({
    runtimes: [wasm()],
    share: { cpus: 2, memory: '512MiB', disk: '512MiB' },
    network: { listen: ['/ip4/127.0.0.1/tcp/0'] },
  })
  await using client = await createClient({ network: { bootstrap: host.addresses } })
  const job = await client.submit({
    runtime: 'wasm',
    image: await buildTracer(),
    command: ['tracer', '--frame', '{{item}}', '--frames', `${FRAMES}`, '--width', '160'],
    tasks: `1-${FRAMES}`,
    resources: { cpus: 1, memory: '128MiB', disk: '32MiB' },
  })
  const results = await Array.fromAsync(job.results({ ordered: true }))
  return await Promise.all(results.map(({ outputs }) => outputs.read(outputs.files[0]!.path)))
}

/** Asked in the page: what each frame is called, and red, green and blue of every pixel that it shows. */
const SHOWN = `[...document.querySelectorAll('#frames img')].map((image) => {
  const canvas = document.createElement('canvas')
  canvas.width = image.naturalWidth
  canvas.height = image.naturalHeight
  const context = canvas.getContext('2d')
  context.drawImage(image, 0, 0)
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height)
  return [image.alt, [...data].filter((_, at) => at % 4 !== 3)]
})`

describe.skipIf(noChromium)('the page of the example', () => {
  it('shows the frames that two hosts render, pixel by pixel', async () => {
    const { page, faults } = await open(await serve())
    await page.getByText(/free\), …/).waitFor()
    await page.click('#render')
    await page.getByText(/of 12 frames, \d+ in work, about \d+ s left/).waitFor()
    await page.getByText('completed: 12 of 12 frames').waitFor({ timeout: 120_000 })
    expect(await page.locator('#bar').evaluate((bar: { value?: number }) => bar.value)).toBe(12)

    const shown = (await page.evaluate(SHOWN)) as [alt: string, pixels: number[]][]
    const elsewhere = await framesElsewhere()
    expect(shown.map(([alt]) => alt)).toEqual(elsewhere.map((_, at) => `frame ${at + 1}`))
    for (const [at, [, pixels]] of shown.entries()) {
      const { data, width } = decode(elsewhere[at]!)
      expect(width).toBe(160)
      expect(Buffer.compare(Buffer.from(pixels), data as Uint8Array)).toBe(0)
      expect(new Set(pixels).size).toBeGreaterThan(50)
    }
    expect(faults).toEqual([])
  })

  it('cancels, and renders again', async () => {
    const { page, faults } = await open(await serve())
    await page.click('#render')
    await page.locator('#frames img').first().waitFor()
    await page.click('#cancel')
    await page.getByText(/^canceled: \d+ of 12 frames/).waitFor()
    expect(await page.locator('#frames img').count()).toBeLessThan(FRAMES)
    await page.click('#render')
    await page.locator('#frames img').first().waitFor()
    expect(faults).toEqual([])
  })

  it('says that no host is there', async () => {
    const { page } = await open(await serve('/ip4/127.0.0.1/tcp/1/ws'))
    await page.getByText(/^No host is there: no bootstrap peer answered/).waitFor()
    expect(await page.locator('#hosts').textContent()).toBe('none')
    expect(await page.locator('#render').isDisabled()).toBe(true)
  })
})

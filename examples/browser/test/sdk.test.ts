import { createClient } from '@manyhands/client'
import { createHost, type Host } from '@manyhands/host'
import { scripted } from '@manyhands/testing'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { selfMadeCertificate } from '../../../packages/core/test/network/self-made-certificate.ts'
import { buildPackages, noChromium, openBrowser, sdkPage } from './chromium.ts'

// What is given to `evaluate` runs in the page, which has this and nothing else of ours.
declare const sdk: { createClient: typeof createClient }

async function host(tls?: { key: string; cert: string }): Promise<Host> {
  const secure = tls === undefined ? '' : '/tls'
  const made = await createHost({
    runtimes: [scripted()],
    share: { cpus: 4, memory: '1GiB', disk: '2GiB' },
    orphanTime: '2s',
    network: { listen: [`/ip4/127.0.0.1/tcp/0${secure}/ws`], tls },
  })
  onTestFinished(() => made.close())
  return made
}

/** What every job here asks for. */
const SPEC = {
  runtime: 'scripted',
  image: 'any',
  resources: { cpus: 0.5, memory: '4MiB', disk: '64MiB', pids: 1 },
} as const

beforeAll(buildPackages)

describe.skipIf(noChromium)('a client in a browser', () => {
  it('runs jobs of many tasks, and hands out every result once', async () => {
    const page = await sdkPage(await openBrowser())
    const { addresses } = await host()
    const seen = await page.evaluate(
      async ([bootstrap, spec]) => {
        const client = await sdk.createClient({ network: { bootstrap } })
        const job = await client.submit({
          ...spec,
          command: ['run', '--stdout', 'task {{item}}', '--write', 'text={{item}}'],
          tasks: '1-300',
        })
        const results: [string, boolean, string, string, boolean][] = []
        for await (const result of job.results({ ordered: true })) {
          const text = new TextDecoder().decode(await result.outputs.read('text'))
          const { key, ok, stdoutTail, receipt } = result
          results.push([key, ok, stdoutTail, text, receipt !== undefined])
        }
        await client.close()
        return { results, counts: job.counts }
      },
      [addresses, SPEC] as const,
    )
    expect(seen.counts).toMatchObject({ completed: 300, failed: 0 })
    expect(seen.results).toEqual(
      Array.from({ length: 300 }, (_, index) => [
        ...[`${index + 1}`, true, `task ${index + 1}`, `${index + 1}`, true],
      ]),
    )
  })

  it('gives and takes files of many megabytes', async () => {
    const page = await sdkPage(await openBrowser())
    const { addresses } = await host()
    const digests = await page.evaluate(
      async ([bootstrap, spec]) => {
        const client = await sdk.createClient({ network: { bootstrap } })
        const given = new Uint8Array(40 * 1024 * 1024)
        for (let at = 0; at < given.length; at += 65536) {
          crypto.getRandomValues(given.subarray(at, at + 65536))
        }
        const job = await client.submit({
          ...spec,
          inputs: { '/in/large': new Blob([given]) },
          command: ['run', '--copy', 'large=copy'],
          tasks: ['one'],
        })
        const taken: Uint8Array[] = []
        for await (const { outputs } of job.results()) taken.push(await outputs.read('copy'))
        await client.close()
        const digest = async (bytes: Uint8Array) =>
          new Uint8Array(
            await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>),
          ).toString()
        return await Promise.all([given, ...taken].map(digest))
      },
      [addresses, SPEC] as const,
    )
    expect(digests).toHaveLength(2)
    expect(digests[0]).toBe(digests[1])
  })

  it('says at once what a browser has not', async () => {
    const page = await sdkPage(await openBrowser())
    const { addresses } = await host()
    const codes = await page.evaluate(
      async ([bootstrap, spec]) => {
        const { createClient } = sdk
        const network = { bootstrap }
        const client = await createClient({ network })
        const job = await client.submit({
          ...spec,
          command: ['run', '--write', 'a=b'],
          tasks: ['one'],
        })
        const [result] = await Array.fromAsync(job.results())
        const tried = await Promise.allSettled([
          createClient({ network, state: './state' }),
          createClient({ network: { ...network, listen: ['/ip4/0.0.0.0/tcp/0/ws'] } }),
          createClient({ network: { ...network, mdns: true } }),
          createClient({ network: { bootstrap: ['/ip4/127.0.0.1/tcp/1/ws'] } }),
          client.submit({ ...spec, inputs: { '/in/a': './a' }, tasks: ['one'] }),
          client.submit({ runtime: 'wasm', image: './a.wasm', tasks: ['one'] }),
          result!.outputs.saveTo('./out'),
        ])
        await client.close()
        return tried.map((one) => (one.status === 'rejected' ? one.reason.code : one.status))
      },
      [addresses, SPEC] as const,
    )
    expect(codes).toEqual([
      'CONFIG_INVALID',
      'CONFIG_INVALID',
      'CONFIG_INVALID',
      'CONNECT_FAILED',
      'INPUT_UNREADABLE',
      'INPUT_UNREADABLE',
      'CONFIG_INVALID',
    ])
  })

  it('hands a job over to a client elsewhere', async () => {
    const page = await sdkPage(await openBrowser())
    const lender = await host()
    const key = await page.evaluate(
      async ([bootstrap, spec]) => {
        const client = await sdk.createClient({ network: { bootstrap } })
        const job = await client.submit({
          ...spec,
          command: ['run', '--for', '1s', '--stdout', '{{item}}'],
          tasks: '1-20',
        })
        for await (const _ of job.results()) break
        return await job.ownerKey()
      },
      [lender.addresses, SPEC] as const,
    )
    await using client = await createClient({ network: { bootstrap: lender.addresses } })
    const job = await client.attach(key)
    const results = await Array.fromAsync(job.results({ ordered: true }))
    expect(results.map(({ ok, key: task }) => [ok, task])).toEqual(
      Array.from({ length: 20 }, (_, index) => [true, `${index + 1}`]),
    )
  })

  it('whose tab is gone is a client that is gone: its work ends after the orphan time', async () => {
    const browser = await openBrowser()
    const page = await sdkPage(browser)
    const lender = await host()
    await page.evaluate(
      async ([bootstrap, spec]) => {
        const client = await sdk.createClient({
          network: { bootstrap },
          lease: { heartbeat: '200ms' },
        })
        await client.submit({ ...spec, command: ['run', '--hang'], tasks: '1-4' })
      },
      [lender.addresses, SPEC] as const,
    )
    const phases = () => lender.attempts().map(({ phase }) => phase)
    await expect.poll(phases).toEqual(['running', 'running', 'running', 'running'])
    // As the browser's own crash: nothing of the page runs any more.
    const session = await page.context().newCDPSession(page)
    session.send('Page.crash').catch(() => {})
    await expect.poll(phases).toEqual(['canceled', 'canceled', 'canceled', 'canceled'])
  })

  it('reaches hosts over secure websockets, with a certificate that it trusts and no other', async () => {
    const { spki, ...certificate } = await selfMadeCertificate()
    const { addresses } = await host(certificate)
    const greet = async (...flags: string[]) =>
      (await sdkPage(await openBrowser(...flags))).evaluate(
        async ([bootstrap, spec]) => {
          const client = await sdk.createClient({ network: { bootstrap } })
          const command = ['run', '--stdout', 'hello']
          const job = await client.submit({ ...spec, command, tasks: ['one'] })
          const [result] = await Array.fromAsync(job.results())
          await client.close()
          return result!.stdoutTail
        },
        [addresses, SPEC] as const,
      )
    expect(await greet(`--ignore-certificate-errors-spki-list=${spki}`)).toBe('hello')
    await expect(greet()).rejects.toThrow('no bootstrap peer answered')
  })
})

/**
 * Serves the page to browsers of this computer, with the hosts that it is to know:
 *
 *   npm run demo:browser                     two hosts of its own, each a process
 *   npm run demo:browser -- ADDRESS…         hosts that run elsewhere, such as /ip4/127.0.0.1/tcp/4434/ws
 *
 * Options: --port 8080
 */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import { buildTracer } from '../demo/build-tracer.ts'
import { startHost } from '../demo/host-process.ts'

const HERE = new URL('./', import.meta.url).pathname
const TYPES: Record<string, string> = {
  css: 'text/css',
  html: 'text/html',
  js: 'text/javascript',
  json: 'application/json',
  wasm: 'application/wasm',
}
/** Nothing from elsewhere, and no code but ours; SQLite is WebAssembly, frames are Blobs. */
const POLICY =
  "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' ws: wss:; img-src blob:"

const { values, positionals } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    heartbeat: { type: 'string', default: '5s' },
  },
  allowPositionals: true,
})

await using hosts = new AsyncDisposableStack()
const bootstrap = [...positionals]
if (bootstrap.length === 0) {
  for (const name of ['ada', 'grace']) {
    const host = hosts.use(await startHost(name, '/ip4/127.0.0.1/tcp/0/ws'))
    bootstrap.push(...host.addresses)
  }
}

const files = new Map<string, Uint8Array | string>()
for (const name of ['index.html', 'page.css']) files.set(name, await readFile(`${HERE}${name}`))
files.set('tracer.wasm', await readFile(await buildTracer()))
files.set('setup.json', JSON.stringify({ bootstrap, heartbeat: values.heartbeat }))
// No plugins, nothing that stands for Node: the packages bring what they need.
const { outputFiles } = await build({
  entryPoints: [`${HERE}page.js`],
  bundle: true,
  splitting: true,
  minify: true,
  format: 'esm',
  outdir: '/',
  write: false,
})
for (const { path, contents } of outputFiles) files.set(path.slice(1), contents)

const server = createServer(({ url = '/' }, response) => {
  const name = url === '/' ? 'index.html' : url.slice(1)
  const content = files.get(name)
  response.statusCode = content === undefined ? 404 : 200
  response.setHeader('content-type', TYPES[name.split('.').at(-1)!] ?? 'text/plain')
  response.setHeader('content-security-policy', POLICY)
  response.end(content)
})
await new Promise<void>((resolve) => {
  server.listen(Number(values.port), '127.0.0.1', resolve)
})
const { port } = server.address() as AddressInfo
console.log(`http://127.0.0.1:${port}/`)
await Promise.race(['SIGINT', 'SIGTERM'].map((signal) => once(process, signal)))
server.close()
server.closeAllConnections()

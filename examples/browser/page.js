import { createClient } from '@manyhands/client'

const FRAMES = 12
const at = (id) => document.getElementById(id)
const tell = (text) => {
  at('news').textContent = text
}

async function start() {
  const { bootstrap, heartbeat } = await (await fetch('setup.json')).json()
  const client = await createClient({ network: { bootstrap }, lease: { heartbeat } })
  // A page that is left says goodbye; hosts notice soon in any case.
  addEventListener('pagehide', () => void client.close())
  const image = await (await fetch('tracer.wasm')).blob()
  at('render').onclick = () => render(client, image).catch((error) => tell(error.message))
  for await (const _ of client.watchHosts()) {
    const hosts = client.hosts()
    at('hosts').textContent = hosts.map(({ peerId, free }) => named(peerId, free)).join(', ')
    at('render').disabled = hosts.length === 0
    tell(hosts.length === 0 ? 'No host is there any more. Start one, and it appears here.' : '')
  }
}

const named = (peerId, free) => `…${peerId.slice(-6)} (${free.cpus} of its cores free)`

async function render(client, image) {
  at('frames').replaceChildren()
  const job = await client.submit({
    name: 'film',
    runtime: 'wasm',
    image,
    command: ['tracer', '--frame', '{{item}}', '--frames', `${FRAMES}`, '--width', '160'],
    outputs: ['/out/*.png'],
    tasks: `1-${FRAMES}`,
    unit: 'frame',
    resources: { cpus: 1, memory: '128MiB', disk: '32MiB' },
  })
  at('cancel').onclick = () => job.cancel()
  at('cancel').disabled = false
  const following = follow(job)
  for await (const { key, ok, outputs, error } of job.results()) {
    if (ok) await show(Number(key), await outputs.read(outputs.files[0].path))
    else tell(`frame ${key}: ${error.message}`)
  }
  await following
  at('cancel').disabled = true
  tell(`${job.phase}: ${job.counts.completed} of ${FRAMES} frames`)
}

/** Progress and how long it takes still, until the job has ended. */
async function follow(job) {
  for await (const { kind } of job.events()) {
    if (kind !== 'progress') continue
    const { completed, running, eta } = job.progress
    at('bar').value = completed
    const rest = eta === undefined ? '' : `, about ${Math.ceil(eta / 1000)} s left`
    tell(`${completed} of ${FRAMES} frames, ${running} in work${rest}`)
  }
  at('bar').value = job.counts.completed
}

async function show(frame, png) {
  const image = new Image()
  image.alt = `frame ${frame}`
  image.dataset.frame = `${frame}`
  image.src = URL.createObjectURL(new Blob([png], { type: 'image/png' }))
  await image.decode()
  const after = [...at('frames').children].find((one) => Number(one.dataset.frame) > frame)
  at('frames').insertBefore(image, after ?? null)
}

start().catch(({ message, hint }) => {
  at('hosts').textContent = 'none'
  tell(`No host is there: ${message} ${hint ?? ''}`)
})

import { sh, BUSYBOX_PROGRAMS } from './busybox-programs.ts'
import { SandboxForTests, textOf } from './sandbox-for-tests.ts'
const sandbox = await SandboxForTests.open()
const MIB = 1024**2
const ooms: boolean[] = []
let bad = 0
await Promise.all([0,1,2,3].map(async () => { for (let i = 0; i < 8; i++) {
  const { exit } = await sandbox.run(BUSYBOX_PROGRAMS.allocate(256 * MIB), { resources: { memoryBytes: 32 * MIB } })
  ooms.push(exit.oom); if (!exit.oom) console.log(exit)
}}))
console.log('oom', ooms.filter(Boolean).length, ooms.length)
const child: boolean[] = []
for (let i = 0; i < 6; i++) {
  const { exit } = await sandbox.run(sh('(head -c 256m /dev/zero | tail -c 256m >/dev/null); exit 0'), { resources: { memoryBytes: 32 * MIB } })
  child.push(exit.oom && exit.exitCode === 0)
}
console.log('child oom with code 0', child)
const bads: unknown[] = []
await Promise.all([0,1,2,3].map(async () => { for (let i = 0; i < 6; i++) {
  bads.push(await sandbox.start({ image: 'manyhands-test/busybox:1', command: ['/nope'] }).then(async (s) => { const e = await s.task.wait(); await s.task.remove(); return e }, (e) => e.code))
}}))
console.log('bad commands', JSON.stringify(Object.entries(Object.groupBy(bads, (b) => JSON.stringify(b))).map(([k, v]) => [k, v!.length])))
const kills: number[] = []
for (let i = 0; i < 20; i++) {
  const { task } = await sandbox.start(sh('while :; do :; done'))
  if (i % 2) await task.pause!()
  const t = performance.now(); await task.kill(); kills.push(performance.now() - t)
  await task.remove()
}
kills.sort((a, b) => a - b); console.log('kill ms', kills.map(Math.round).join(' '))
const starts: number[] = []
const tasks = []
for (let i = 0; i < 10; i++) { const t = performance.now(); const s = await sandbox.start(sh('sleep 100')); starts.push(performance.now() - t); tasks.push(s.task) }
console.log('start ms', starts.map(Math.round).join(' '))
await Promise.all(tasks.map((t) => t.stats()))
const t0 = performance.now(); for (let i = 0; i < 20; i++) await Promise.all(tasks.map((t) => t.stats()))
console.log('stats ms per round of 10', (performance.now() - t0) / 20)
// log flood memory
const before = process.memoryUsage().rss
const f = await sandbox.start(BUSYBOX_PROGRAMS.flood(300 * MIB))
const tf = performance.now(); await f.task.wait(); console.log('flood 300MiB s', (performance.now() - tf) / 1000, 'rss growth MiB', (process.memoryUsage().rss - before) / MIB)
console.log((await textOf(f.task)).stdout.length)
await sandbox[Symbol.asyncDispose]()

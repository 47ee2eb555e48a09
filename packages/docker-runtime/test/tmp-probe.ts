import { sh, BUSYBOX_PROGRAMS } from './busybox-programs.ts'
import { SandboxForTests, textOf } from './sandbox-for-tests.ts'
import { execSync } from 'node:child_process'
const sandbox = await SandboxForTests.open()
const MIB = 1024**2
for (const lanes of [1, 4, 8]) {
const ooms: boolean[] = []
await Promise.all(Array.from({length: lanes}, async () => { for (let i = 0; i < 32/lanes; i++) {
  const { task } = await sandbox.start(BUSYBOX_PROGRAMS.allocate(256 * MIB), { resources: { memoryBytes: 32 * MIB } })
  const exit = await task.wait()
  ooms.push(exit.oom); if (!exit.oom) { await new Promise(r=>setTimeout(r,500)); const o = JSON.parse(execSync('docker inspect '+task.handle.id).toString())[0].State.OOMKilled; console.log('missed; flag later', o, 'kmsg', execSync(`dmesg | grep -c ${task.handle.id} || true`).toString().trim()) }
  await task.remove()
}}))
console.log('lanes', lanes, 'oom', ooms.filter(Boolean).length, ooms.length)
}
const { kernelToldOfOom } = await import('../src/kernel-log.ts'); const t = performance.now(); console.log(kernelToldOfOom('nope'), performance.now() - t, 'ms kmsg')
const child: boolean[] = []
for (let i = 0; i < 16; i++) {
  const { exit } = await sandbox.run(sh('(head -c 256m /dev/zero | tail -c 256m >/dev/null); exit 0'), { resources: { memoryBytes: 32 * MIB } })
  child.push(exit.oom && exit.exitCode === 0)
}
console.log('child oom with code 0', child.join(' '))
await sandbox[Symbol.asyncDispose]()

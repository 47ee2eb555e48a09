/** Fan-in: frames are rendered on all hosts, and one task takes all of them and assembles the video. */
import assert from 'node:assert/strict'
import type { TaskSpec } from '@manyhands/core'
import { createLocalNetwork } from '@manyhands/testing'

await using network = await createLocalNetwork({ hosts: 3 })
const frames = Array.from({ length: 24 }, (_, n) => String(n + 1).padStart(4, '0'))
const frame = (name: string): TaskSpec => ({
  key: name,
  command: ['run', '--for', '20ms', '--write', `${name}.png=(${name})`],
})
const video: TaskSpec = {
  key: 'video',
  // A real one: ['ffmpeg', '-i', '/in/%04d.png', '/out/video.mp4'] of an image with ffmpeg.
  command: ['run', ...frames.flatMap((name) => ['--cat', `${name}.png`])],
  inputs: Object.fromEntries(
    frames.map((name) => [`/in/${name}.png`, { task: name, path: `/out/${name}.png` }]),
  ),
}
const job = await network.client.submit<string>({
  name: 'video',
  runtime: 'scripted',
  image: 'any',
  tasks: [...frames, 'video'],
  task: (name) => (name === 'video' ? video : frame(name)),
})
for await (const { key, stdoutTail, host } of job.results()) {
  if (key === 'video') console.log(`assembled at ${host?.slice(-6)}: ${stdoutTail}`)
}
const { phase, bytesDown } = await job.wait()
console.log(`${frames.length} frames; ${bytesDown} bytes of them came to the client`)
assert.equal(phase, 'completed')

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BUSYBOX_IMAGE, buildImage } from '../../../scripts/docker-images.ts'
import { canStart, OwnDocker } from '../../docker-runtime/test/own-engines.ts'
import { imageText } from '../src/owner/image-text.ts'
import { commandRoom } from './command.ts'

describe.skipIf(!canStart('dockerd', 'ip'))(
  'run --image with an image that only the caller has',
  () => {
    let room: Awaited<ReturnType<typeof commandRoom>>
    let clientEngine: OwnDocker
    let hostEngine: OwnDocker

    beforeAll(async () => {
      room = await commandRoom()
      ;[clientEngine, hostEngine] = await Promise.all([OwnDocker.start(), OwnDocker.start()])
      await hostEngine.docker.getImage(BUSYBOX_IMAGE).remove({ force: true })
    }, 60_000)

    afterAll(async () => {
      await room?.[Symbol.asyncDispose]()
      await clientEngine?.[Symbol.asyncDispose]()
      await hostEngine?.[Symbol.asyncDispose]()
    }, 60_000)

    it('needs nothing but its name', async () => {
      await buildImage(clientEngine.docker, 'my:1', [
        `FROM ${BUSYBOX_IMAGE}`,
        'RUN echo mine > /what',
      ])
      const host = room.start(
        ['host', '--runtime', 'docker', '--listen', '/ip4/127.0.0.1/tcp/0', '--jsonl'],
        { DOCKER_HOST: `unix://${hostEngine.socketPath}` },
      )
      const ready = await host.line((line) => line['event'] === 'ready')
      const run = room.start(
        [
          ...['run', '--image', 'my:1', '--tasks', '1', '--bootstrap', ready['addresses'][0]],
          ...['--memory', '64MiB', '--disk', '16MiB', '--jsonl', '--', '/bin/cat', '/what'],
        ],
        { DOCKER_HOST: `unix://${clientEngine.socketPath}` },
      )
      const { code, stderr } = await run.ended
      const task = run.lines().find((line) => line['event'] === 'task')
      expect(task, stderr).toMatchObject({ ok: true, stdoutTail: 'mine\n' })
      expect(code).toBe(0)
      expect(run.lines().filter((line) => line['event'] === 'image')).toMatchObject([
        { image: 'my:1', phase: 'exporting', bytes: 0 },
        { image: 'my:1', phase: 'ready' },
      ])
      const [image] = await hostEngine.docker.listImages()
      expect(image?.RepoTags?.[0]).toMatch(/^manyhands\.local\//)
    })
  },
)

it('an owner sees what his engine calls an image, and else what it is', () => {
  const digest = `sha256:${'ab'.repeat(32)}`
  expect(imageText({ image: 'blender:1', imageName: 'trust-me:1' })).toBe('blender:1')
  expect(imageText({ image: digest, imageName: 'trust-me:1' })).toBe('abababababab “trust-me:1”')
  expect(imageText({ image: `artifact:${digest}` })).toBe('abababababab')
})

import type Docker from 'dockerode'
import { describe, expect, it, vi } from 'vitest'
import type { Engine } from '../src/engine.ts'
import { RecentImages } from '../src/image.ts'

/** An engine of which only images can be asked about. */
function engineWith(inspect: () => Promise<unknown>) {
  const asked = vi.fn(inspect)
  const docker = { getImage: () => ({ inspect: asked }) } as unknown as Docker
  const engine = { docker, deadline: () => new AbortController().signal } as unknown as Engine
  return { engine, asked }
}
const answer = { Id: 'sha256:1', RepoTags: ['a:1', 'b:1'], RepoDigests: [], Config: {} }

describe('images that were asked for a moment ago', () => {
  it('are asked for once, however many start at once', async () => {
    const { engine, asked } = engineWith(async () => answer)
    const images = new RecentImages()
    const found = await Promise.all([1, 2, 3].map(() => images.resolve(engine, 'a:1')))
    expect(found.map(({ id }) => id)).toEqual(['sha256:1', 'sha256:1', 'sha256:1'])
    expect(asked).toHaveBeenCalledTimes(1)
    await images.resolve(engine, 'b:1')
    expect(asked).toHaveBeenCalledTimes(2)
  })

  it('are asked for again when a start failed, or the engine is another one', async () => {
    const [one, other] = [engineWith(async () => answer), engineWith(async () => answer)]
    const images = new RecentImages()
    await images.resolve(one.engine, 'a:1')
    images.forget('a:1')
    await images.resolve(one.engine, 'a:1')
    expect(one.asked).toHaveBeenCalledTimes(2)
    await images.resolve(other.engine, 'a:1')
    expect(other.asked).toHaveBeenCalledTimes(1)
  })

  it('that were not there are looked for at the next start', async () => {
    const missing = Object.assign(new Error('none'), { statusCode: 404 })
    const { engine, asked } = engineWith(
      vi.fn().mockRejectedValueOnce(missing).mockResolvedValue(answer),
    )
    const images = new RecentImages()
    await expect(images.resolve(engine, 'a:1')).rejects.toMatchObject({ code: 'IMAGE_NOT_FOUND' })
    expect((await images.resolve(engine, 'a:1')).id).toBe('sha256:1')
    expect(asked).toHaveBeenCalledTimes(2)
  })
})

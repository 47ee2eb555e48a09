import { ManyhandsError, type RuntimeSpec } from '@manyhands/core'
import type Docker from 'dockerode'
import { LABELS } from './container-template.ts'
import type { Engine } from './engine.ts'
import { engineError, engineStatus } from './engine-error.ts'

/** Of 100 ms, while another removal is under way. */
const REMOVAL_ROUNDS = 50

export interface CreatedContainer {
  container: Docker.Container
  /** Set when it existed already: an earlier try of this very attempt made it. */
  existing?: Docker.ContainerInspectInfo
}

/**
 * Creates a container under its attempt's name, or finds the one that has it. Two can never exist.
 *
 * @throws RUNTIME_FAILED when the name belongs to a container that is not this attempt's
 */
export async function createContainer(
  engine: Engine,
  name: string,
  template: Docker.ContainerCreateOptions,
  spec: RuntimeSpec,
): Promise<CreatedContainer> {
  // Told apart, because the client library would also write the whole body into the URL.
  const request = { _query: { name }, _body: template, abortSignal: engine.deadline() }
  try {
    const container = await engine.docker.createContainer(request as Docker.ContainerCreateOptions)
    return { container }
  } catch (error) {
    if (engineStatus(error) === 409) return findOwn(engine, name, template)
    const code = engineStatus(error) === 404 ? 'IMAGE_NOT_FOUND' : 'RUNTIME_FAILED'
    throw engineError(error, `attempt ${spec.attemptId}`, code)
  }
}

/** The name is taken: by an earlier try of this attempt, or by what we must not touch. */
async function findOwn(
  engine: Engine,
  name: string,
  template: Docker.ContainerCreateOptions,
): Promise<CreatedContainer> {
  const existing = await engine.docker
    .getContainer(name)
    .inspect({ abortSignal: engine.deadline() })
    .catch((error: unknown) => {
      throw engineError(error, `container ${name}`)
    })
  const ours = [LABELS.host, LABELS.client, LABELS.job, LABELS.attempt].every(
    (label) => existing.Config.Labels[label] === template.Labels?.[label],
  )
  if (!ours) {
    throw new ManyhandsError('RUNTIME_FAILED', `a container that is not ours is named ${name}`)
  }
  return { container: engine.docker.getContainer(existing.Id), existing }
}

/** Whether a container has this name; one that cannot be asked about counts as there. */
export async function containerExists(engine: Engine, name: string): Promise<boolean> {
  return engine.docker
    .getContainer(name)
    .inspect({ abortSignal: engine.deadline() })
    .then(
      () => true,
      (error: unknown) => engineStatus(error) !== 404,
    )
}

/** Best effort: what stays because the engine is away carries our label and is found again. */
export async function discardContainer(engine: Engine, container: Docker.Container): Promise<void> {
  const options = { force: true, v: true, abortSignal: engine.deadline() }
  await container.remove(options as Docker.ContainerRemoveOptions).catch(() => {})
}

/** Returns when there is none any more. @throws what the engine says when it refuses */
export async function removeContainer(engine: Engine, container: Docker.Container): Promise<void> {
  for (let round = 0; round < REMOVAL_ROUNDS; round += 1) {
    try {
      const options = { force: true, v: true, abortSignal: engine.deadline() }
      await container.remove(options as Docker.ContainerRemoveOptions)
      return
    } catch (error) {
      if (engineStatus(error) === 404) return
      // 409: another removal is under way; it ends in a 404.
      if (engineStatus(error) !== 409) throw error
      await new Promise((resolve) => setTimeout(resolve, 100).unref())
    }
  }
}

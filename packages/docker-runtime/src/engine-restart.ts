import type Docker from 'dockerode'
import type { Engine } from './engine.ts'
import { type EngineInfo, engineKind } from './engine-info.ts'
import type { WatchedExit } from './exit-watch.ts'

/**
 * Whether a restart of the engine may have ended a container: without live-restore it ends all of them,
 * and their codes then mean nothing.
 *
 * @param recovered whether another process started the container, which a restart may have hit unseen
 */
export async function endedByRestart(
  engine: Engine,
  container: Docker.Container,
  { interrupted, found: end }: WatchedExit,
  recovered: boolean,
): Promise<boolean> {
  const suspicious = interrupted || recovered || (await isOlder(engine, end))
  if (!suspicious) return false
  const [found, info, engineStartedAt] = await Promise.all([
    container.inspect({ abortSignal: engine.deadline() }).catch(() => undefined),
    engine.docker.info().catch(() => undefined) as Promise<EngineInfo | undefined>,
    engine.startedAt(),
  ])
  // Podman's containers have no daemon that could end with its socket.
  if (info !== undefined && (info.LiveRestoreEnabled || engineKind(info) === 'podman')) return false
  if (engineStartedAt === undefined) return !recovered
  return found === undefined || engineStartedAt > Date.parse(found.State.StartedAt)
}

/** Where a service manager holds the socket, a quick restart breaks no connection that we would see. */
async function isOlder(
  engine: Engine,
  found: Docker.ContainerInspectInfo | undefined,
): Promise<boolean> {
  const engineStartedAt = await engine.startedAt()
  if (engineStartedAt === undefined || found === undefined) return false
  return engineStartedAt > Date.parse(found.State.StartedAt)
}

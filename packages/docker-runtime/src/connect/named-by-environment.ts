import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ManyhandsError } from '@manyhands/core'
import type { ConnectStrategy } from './connect-strategy.ts'
import type { EngineEnvironment, EngineTls } from './engine-address.ts'
import { parseTarget } from './engine-target.ts'

/** What Docker's and Podman's own commands honour, in the environment that was handed over. */
export const namedByEnvironment: ConnectStrategy = {
  name: 'the environment',
  targets({ env = {} }) {
    if (env.DOCKER_HOST) return [parseTarget(env.DOCKER_HOST, tlsOf(env.DOCKER_HOST, env))]
    return env.CONTAINER_HOST ? [parseTarget(env.CONTAINER_HOST)] : []
  },
}

function tlsOf(host: string, env: EngineEnvironment): EngineTls | undefined {
  if (!env.DOCKER_TLS_VERIFY || !/^(tcp|https):/.test(host)) return undefined
  const directory = env.DOCKER_CERT_PATH || (env.HOME && join(env.HOME, '.docker'))
  if (!directory) return {}
  return {
    ca: pem(join(directory, 'ca.pem')),
    cert: pem(join(directory, 'cert.pem')),
    key: pem(join(directory, 'key.pem')),
  }
}

function pem(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new ManyhandsError(
      'CONFIG_INVALID',
      `DOCKER_TLS_VERIFY is set, but ${path} is not readable`,
      {
        cause,
      },
    )
  }
}

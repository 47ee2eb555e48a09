import { formatByteSize } from '@manyhands/core'
import { type Check, type Examiner, type FoundRuntime, ok, usableDocker, warn } from './check.ts'

/** What containers can be given, and how it is kept: GPUs, disk, secrets, network access. */
export const sandboxChecks: Examiner = (patient) => {
  const docker = usableDocker(patient)
  if (docker === undefined) return []
  return [gpuCheck(docker), diskQuotaCheck(docker), secretsCheck(docker), egressCheck(docker)]
}

function gpuCheck({ fingerprint, capabilities }: FoundRuntime): Check {
  const { gpus = [] } = fingerprint
  if (gpus.length > 0) {
    const each = gpus.map(({ model, memoryBytes }) => `${model} (${formatByteSize(memoryBytes)})`)
    return ok('GPUs', `${each.join(', ')}; lent with --gpus`)
  }
  return ok(
    'GPUs',
    capabilities?.gpus === true
      ? 'the engine can give GPUs, but no driver answers here'
      : 'none that the engine could give to a container',
  )
}

function diskQuotaCheck({ fingerprint }: FoundRuntime): Check {
  const kind = fingerprint.attributes['docker.disk-quota']
  if (kind === 'loop') {
    return ok(
      'disk quota',
      'loop: every attempt writes to a file system that ends where its quota does',
    )
  }
  // Without a word of its own the runtime does what it always did.
  return ok(
    'disk quota',
    `${kind ?? 'poll'}: what an attempt wrote is measured every 250 ms; it ends when that is too much, which a fast writer exceeds for a moment`,
  )
}

function secretsCheck({ capabilities }: FoundRuntime): Check {
  if (capabilities?.secrets === true) {
    return ok('secrets', 'reach tasks as files in memory, never on a disk')
  }
  return warn(
    'secrets',
    'cannot be given to tasks of this engine; jobs that have some are refused',
    'To take such jobs, use an engine of this computer.',
  )
}

function egressCheck({ capabilities }: FoundRuntime): Check {
  if (capabilities?.egress === true) {
    return ok('network access', 'by name only, through this host, when the policy lists egress')
  }
  return ok('network access', 'tasks have none, whatever the policy says')
}

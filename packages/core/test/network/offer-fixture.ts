import type { Offer } from '@manyhands/core'

export function offerOf(peerId: string, fields: Partial<Offer> = {}): Offer {
  const resources = { cpus: 4, memoryBytes: 8e9, diskBytes: 1e11, gpus: 0, pids: 1024 }
  return {
    v: 1,
    peerId,
    instance: 'instance-1',
    revision: 1,
    addresses: [`/ip4/127.0.0.1/tcp/4001/p2p/${peerId}`],
    cpus: resources.cpus,
    memory: resources.memoryBytes,
    disk: resources.diskBytes,
    gpus: 0,
    share: resources,
    free: resources,
    runtimes: [{ name: 'docker', image: 'named', isolation: 'rootful' }],
    platform: { os: 'linux', arch: 'x64', cpu: 'test' },
    labels: {},
    attempts: 0,
    draining: false,
    ...fields,
  }
}

import {
  type ByteRate,
  type ByteSize,
  type Duration,
  formatByteRate,
  formatByteSize,
  formatDuration,
  type Offer,
  parseByteRate,
  parseByteSize,
  parseDuration,
} from '@manyhands/core'
import type { ClientQuota, HostPolicy } from '@manyhands/host'
import { clean, shortPeer } from '../table.ts'

/** A list longer than this is counted instead of read. */
const SHOWN = 8

/**
 * A policy in words, a rule a line, also those that it leaves at their default.
 *
 * @param offer - of the host where it is in force: what the share comes to
 */
export function policyText(document: HostPolicy, offer?: Offer): string {
  const { policy = {}, schedule = {}, transfer } = document
  const { perClient, clients = {} } = policy.quotas ?? {}
  const lines: [string, string][] = [
    ['share', offer === undefined ? shareText(document.share) : offeredText(offer)],
    ['clients', list(policy.clients?.map(shortPeer)) ?? 'anyone who can connect'],
    ['images', list(policy.images) ?? 'any that is here or that a client brings'],
    [
      'image cache',
      policy.imageCache === undefined
        ? 'two fifths of the disk'
        : `at most ${sizeText(policy.imageCache)}`,
    ],
    ['network', list(policy.networkProfiles) ?? 'none'],
    ['longest run', durationText(policy.maxRuntime ?? '24h')],
    ['attempts', `at most ${policy.maxAttempts ?? 1024} at once`],
    ['each client', perClient === undefined ? 'no quota' : quotaText(perClient)],
    ...Object.entries(clients).map(([client, quota]): [string, string] => [
      `  ${shortPeer(client)}`,
      quotaText(quota),
    ]),
    ...transferLines(transfer),
    ['hours', schedule.hours ?? 'always'],
    [
      'idle',
      schedule.onlyWhenIdle === undefined
        ? 'lent also while somebody is here'
        : `only after ${durationText(schedule.onlyWhenIdle)} without anybody here`,
    ],
    ['battery', schedule.notOnBattery === true ? 'not while on battery' : 'does not matter'],
    ['pause while', list(schedule.pauseWhile) ?? 'nothing'],
    ['paused work', `is sent elsewhere after ${durationText(schedule.evictAfter ?? '10m')}`],
  ]
  return lines.map(([name, text]) => `${clean(name).padEnd(14)}${clean(text)}`).join('\n')
}

function list(items: readonly string[] | undefined): string | undefined {
  if (items === undefined) return undefined
  if (items.length === 0) return 'nobody and nothing'
  const more = items.length - SHOWN
  return items.slice(0, SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

function shareText({ cpus, memory, disk, gpus = 0, pids }: HostPolicy['share'] = {}): string {
  return [
    cpus === undefined ? 'all cores but one' : `${cpus} cores`,
    memory === undefined ? 'half of the memory' : `${sizeText(memory)} memory`,
    ...(disk === undefined ? [] : [`${sizeText(disk)} disk`]),
    ...(gpus === 0 ? [] : [Array.isArray(gpus) ? `GPUs ${gpus.join(' ')}` : `GPUs: ${gpus}`]),
    ...(pids === undefined ? [] : [`${pids} processes`]),
  ].join(', ')
}

function offeredText({ share }: Offer): string {
  return shareText({
    cpus: share.cpus,
    memory: share.memoryBytes,
    disk: share.diskBytes,
    gpus: share.gpus,
    pids: share.pids,
  })
}

function quotaText(quota: ClientQuota): string {
  const { attempts, cpuHoursPerDay, disk, transferPerDay } = quota
  const parts = [
    ...(attempts === undefined ? [] : [`${attempts} attempts at once`]),
    ...(cpuHoursPerDay === undefined ? [] : [`${cpuHoursPerDay} core-hours a day`]),
    ...(disk === undefined ? [] : [`${sizeText(disk)} disk`]),
    ...(transferPerDay === undefined ? [] : [`${sizeText(transferPerDay)} transfer a day`]),
  ]
  return parts.length === 0 ? 'no quota' : parts.join(', ')
}

function transferLines(transfer: HostPolicy['transfer'] = {}): [string, string][] {
  const { perPeer = {}, daily = {}, giveToHosts = true } = transfer
  const line = (word: 'upload' | 'download'): [string, string] => {
    const [all, each, day] = [transfer[word], perPeer[word], daily[word]]
    const parts = [
      ...(all === undefined ? [] : [`at most ${rateText(all)}`]),
      ...(each === undefined ? [] : [`${rateText(each)} for each peer`]),
      ...(day === undefined ? [] : [`${sizeText(day)} in 24 hours`]),
    ]
    return [word, parts.join(', ') || 'not limited']
  }
  return [
    line('upload'),
    line('download'),
    ['to hosts', giveToHosts ? 'what their client sent here too' : 'nothing'],
  ]
}

const rateText = (rate: ByteRate) => formatByteRate(parseByteRate(rate))
const sizeText = (size: ByteSize) => formatByteSize(parseByteSize(size))
const durationText = (duration: Duration) => formatDuration(parseDuration(duration))

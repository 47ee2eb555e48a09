/**
 * A job whose hosts and client are killed without a word while it runs, again and again: real processes
 * with a scriptable runtime, each started anew with the state that it had. Nothing may be lost, nothing
 * accepted twice, and little done for nothing.
 *
 *   npm run bench -- kill-storm [--tasks 10000] [--hosts 8] [--host-kills 200] [--client-kills 30]
 */
import { parseArgs } from 'node:util'
import { killStorm } from '../packages/testing/test/programs/kill-storm.ts'
import { printResult } from './shared/result.ts'

const WORK = 1.25
const { values } = parseArgs({
  options: {
    tasks: { type: 'string', default: '10000' },
    hosts: { type: 'string', default: '8' },
    'host-kills': { type: 'string', default: '200' },
    'client-kills': { type: 'string', default: '30' },
    ms: { type: 'string', default: '500' },
  },
})
const tasks = Number(values.tasks)
const report = await killStorm({
  tasks,
  hosts: Number(values.hosts),
  hostKills: Number(values['host-kills']),
  clientKills: Number(values['client-kills']),
  ms: Number(values.ms),
  everyMs: 200,
})
const work = report.ran / tasks
printResult({
  name: 'kill-storm',
  promise: `0 lost, 0 accepted twice, ≤ ${WORK} × the work`,
  value: report.ran,
  unit: 'runs',
  against: 'tasks',
  peer: tasks,
  ratio: work,
  kept: report.lost.length === 0 && report.changed.length === 0 && work <= WORK,
  phase: report.phase,
  lost: report.lost.length,
  changed: report.changed.length,
  hostKills: report.hostKills,
  clientKills: report.clientKills,
  seconds: report.seconds,
})

import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type CommandContext, defineCommand } from '../command-context.ts'
import { defineOwnerCommand } from '../owner/owner-command.ts'

export function policyCommand(context: CommandContext): Command {
  const { output, interruption, cwd } = context

  async function show(options: { state?: string }): Promise<void> {
    const { runningHost } = await import('../running-host.ts')
    const { policyText } = await import('../policy/policy-text.ts')
    const { signal } = interruption
    const control = await runningHost(context, options)
    const policy = await control.policy({ signal })
    output.document(policy)
    output.event('policy', policy)
    output.data(policyText(policy, await control.offer({ signal })))
  }

  async function change(file: string, options: { state?: string }): Promise<void> {
    const { readPolicyFile } = await import('../policy/policy-file.ts')
    const { runningHost } = await import('../running-host.ts')
    const { policyText } = await import('../policy/policy-text.ts')
    const { labels, ...sections } = await readPolicyFile(resolve(cwd, file))
    const control = await runningHost(context, options)
    const policy = await control.setPolicy(sections)
    output.document(policy)
    output.event('policy', policy)
    if (output.format !== 'text') return
    if (labels !== undefined) output.say('labels are read when a host starts, not now')
    output.data(policyText(policy, await control.offer({ signal: interruption.signal })))
  }

  async function check(file: string): Promise<void> {
    const { readPolicyFile } = await import('../policy/policy-file.ts')
    const { policyText } = await import('../policy/policy-text.ts')
    const path = resolve(cwd, file)
    const { labels: _, ...policy } = await readPolicyFile(path)
    output.document({ file: path, policy })
    output.event('checked', { file: path, policy })
    output.data(policyText(policy))
    if (output.format === 'text') output.say(`${file} is a policy`)
  }

  return defineOwnerCommand('policy', 'show the rules in force, or change them while the host runs')
    .argument('[file]', 'policy file (JSON) that is to be in force from now on')
    .addHelpText(
      'after',
      `
Sections that the file leaves out (share, policy, schedule) stay as they are.

Examples:
  manyhands policy                  # what is in force
  manyhands policy check night.json # is it a policy? no host is needed
  manyhands policy set night.json   # from now on`,
    )
    .action((file: string | undefined, options) =>
      file === undefined ? show(options) : change(file, options),
    )
    .addCommand(
      defineOwnerCommand('set', 'change the rules of the running host')
        .argument('<file>', 'policy file (JSON)')
        .action((file: string, _, command: Command) => change(file, command.optsWithGlobals())),
    )
    .addCommand(
      defineCommand('check', 'read a policy file and say what it means; no host is needed')
        .argument('<file>', 'policy file (JSON)')
        .action((file: string) => check(file)),
    )
}

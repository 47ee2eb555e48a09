import { join } from 'node:path'
import type { Command } from 'commander'
import { type CommandContext, defineCommand } from '../command-context.ts'
import { controlFilePath, hostStateDirectory, stateHome } from '../state-home.ts'

export function configCommand(context: CommandContext): Command {
  const { output, env, cwd } = context
  return defineCommand('config', 'print where state lives').action(() => {
    const hostState = hostStateDirectory(env, cwd)
    const settings = {
      version: context.version,
      node: process.versions.node,
      home: stateHome(env),
      hostState,
      control: controlFilePath(hostState),
      clientState: join(stateHome(env), 'client'),
    }
    output.document(settings)
    output.event('config', settings)
    output.data(
      Object.entries(settings)
        .map(([name, value]) => `${name.padEnd(12)}${value}`)
        .join('\n'),
    )
  })
}

import type { Command } from 'commander'
import { defineCommand } from '../command-context.ts'

/** A command about the host that runs on this computer. */
export function defineOwnerCommand(name: string, description: string): Command {
  return defineCommand(name, description).option(
    '--state <dir>',
    'state directory of the host that is meant',
  )
}

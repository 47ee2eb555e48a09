import { type Command, Option } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import { countingNumber } from '../option-values.ts'

const acts = () => import('../networks/network-acts.ts')
const ROLES = ['host', 'client', 'both']
const NETWORK = ['--network <name>', 'which one; default: the only one that was joined'] as const

export function networkCommand(context: CommandContext): Command {
  const network = defineCommand('network', 'private networks: who may see and use each other')
  network.addHelpText(
    'after',
    `
Examples:
  manyhands network create lab
  manyhands network invite --role host --expires 7d    # prints one word: give it to a new member
  manyhands network join mh1…                          # all that a new member does
  manyhands network revoke PEER                        # its work ends, its connections are cut`,
  )
  const commands = [
    defineCommand('create', 'make a network that this computer owns')
      .argument('<name>', 'what people call it')
      .action(async (name: string) => (await acts()).createOne(name, context)),
    defineCommand('invite', 'print an invite, the last line of stdout')
      .option(...NETWORK)
      .addOption(
        new Option('--role <role>', 'what the new member may do').choices(ROLES).default('both'),
      )
      .option('--expires <duration>', 'how long one can join with it', '7d')
      .option('--uses <n>', 'how many computers may join with it', countingNumber, 1)
      .option(
        '--address <addr>',
        'where a member can be reached; default: the host of this computer',
        collect,
      )
      .action(async (options) => (await acts()).inviteOne(options, context)),
    defineCommand('join', 'become a member')
      .argument('<invite>', 'mh1…, as a member has given it')
      .option('--as <name>', 'another name for it on this computer')
      .option(
        '--address <addr>',
        'where a member can be reached, beside what the invite says',
        collect,
      )
      .action(async (invite: string, options) => (await acts()).joinOne(invite, options, context)),
    defineCommand('members', 'list who is a member')
      .option(...NETWORK)
      .action(async (options) => (await acts()).listMembers(options, context)),
    defineCommand('revoke', 'end the membership of somebody, its work and its connections')
      .argument('<peer>', 'key or peer id of the member, the end of one, or its name')
      .option(...NETWORK)
      .option('--reason <text>', 'what it and all members are told')
      .action(async (peer: string, options) => (await acts()).revokeOne(peer, options, context)),
    defineCommand('delegate', 'let a member invite others')
      .argument('<peer>', 'key or peer id of the member, the end of one, or its name')
      .option(...NETWORK)
      .addOption(
        new Option('--role <role>', 'what those that it invites may be')
          .choices(ROLES)
          .default('both'),
      )
      .option('--expires <duration>', 'for how long', '365d')
      .action(async (peer: string, options) => (await acts()).delegateOne(peer, options, context)),
    defineCommand('list', 'list the networks that this computer has joined').action(async () =>
      (await acts()).listNetworks(context),
    ),
  ]
  for (const command of commands) network.addCommand(command)
  return network
}

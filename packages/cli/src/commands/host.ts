import { type Command, Option } from 'commander'
import { type CommandContext, collect, defineCommand } from '../command-context.ts'
import {
  assignment,
  countingNumber,
  gpuChoice,
  nameList,
  positiveNumber,
} from '../option-values.ts'

export function hostCommand(context: CommandContext): Command {
  return defineCommand('host', 'lend this computer until it is interrupted')
    .option('--cpus <n>', 'cores lent at most', positiveNumber)
    .option('--memory <size>', 'memory lent at most, such as 8GiB')
    .option('--disk <size>', 'disk lent at most')
    .option(
      '--gpus <n>',
      "GPUs lent: how many, which ones by id, or 'all'; default none",
      gpuChoice,
    )
    .option('--max-attempts <n>', 'attempts at once', countingNumber)
    .option('--runtime <names>', 'docker, wasm, microvm; default: docker and wasm', nameList)
    .option('--isolation <name>', 'runc, runsc (gVisor), kata, or what the engine calls it')
    .addOption(
      new Option('--disk-quota <kind>', "how an attempt's disk is bounded").choices([
        'auto',
        'loop',
        'poll',
      ]),
    )
    .option('--no-cpu-pinning', 'let tasks run on any core')
    .option('--egress-allow <network>', 'private network that egress may reach', collect)
    .option('--microvm-kernel <file>', 'kernel of microVMs, such as /boot/vmlinuz-VERSION')
    .option('--microvm-modules <dir>', 'its modules; default /lib/modules/VERSION')
    .option('--listen <addr>', 'address to listen on, such as /ip4/0.0.0.0/tcp/4001', collect)
    .option('--bootstrap <addr>', 'peer to connect to', collect)
    .option('--mdns', 'be found on the local network')
    .option('--upnp', 'have the router let others in (UPnP)')
    .option('--relay', 'carry requests and events of peers that cannot be reached otherwise')
    .option('--relay-bulk', 'the same, and inputs, images and outputs as well')
    .option(
      '--use-relay <addr>',
      'relay to be reached over, when nobody reaches this computer',
      collect,
    )
    .option(
      '--stun <addr>',
      'meet peers behind other routers (WebRTC), with this STUN server',
      collect,
    )
    .option('--tls-key <file>', 'key of the certificate, PEM: for browsers, on /…/tcp/PORT/tls/ws')
    .option('--tls-cert <file>', 'certificate with its chain, PEM')
    .option(
      '--network <name>',
      'private network to lend in; default: the one that was joined, or the public one',
    )
    .option('--state <dir>', 'directory of identity, journal and artifacts')
    .option('--policy <file>', 'who may use this host, for what and when (JSON)')
    .option('--hours <ranges>', "when it is lent, such as 'Mon-Fri 19:00-07:00'")
    .option('--only-when-idle <duration>', 'only after nobody was here for so long')
    .option('--not-on-battery', 'not while this computer runs on its battery')
    .option('--pause-while <programs>', 'not while one of these programs runs', nameList)
    .option('--upload-limit <rate>', 'most that is sent, such as 10MiB/s')
    .option('--download-limit <rate>', 'most that is received')
    .option('--name <label>', 'what people call this host')
    .option('--label <name=value>', 'label for filters of clients', assignment)
    .addHelpText(
      'after',
      `
The first SIGINT or SIGTERM drains for 30 s, the second ends at once. The policy file is read again
when it changes and at SIGHUP; options win over it.

Examples:
  manyhands host --cpus 6 --memory 12GiB --listen /ip4/0.0.0.0/tcp/4001
  manyhands host --policy policy.json --hours 'Mon-Fri 19:00-07:00' --pause-while steam`,
    )
    .action(async (options) => {
      const { runHost } = await import('../lend/run-host.ts')
      context.exit(await runHost(options, context))
    })
}

import { readlinkSync } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import type { RawAsked, RawEnd, Template } from './raw-container.ts'

const MIB = 1024 ** 2

type Change = (template: Template) => void

/** One line of the template, an attack that it stops, and how it is taken out. */
export interface TemplateLine {
  /** Its name in the engine's words; `HostConfig.` is left out. */
  line: string
  attack: string
  /** A shell script that prints BROKEN when the attack works and HELD when it does not. */
  script?: string
  /** Looks from outside instead: whether the attack worked. */
  broken?: (end: RawEnd) => Promise<boolean>
  asked?: Partial<RawAsked>
  /** Other lines that stop the same attack; they are taken out of both runs, so that this one shows. */
  behind?: { lines: string; without: Change }
  loosen: Change
}

/** A script that prints BROKEN when all of this works. */
const tries = (attack: string) =>
  `if ( ${attack} ) >/dev/null 2>&1; then echo BROKEN; else echo HELD; fi`
/** A script that prints HELD when this is true. */
const requires = (fact: string) => `if ${fact}; then echo HELD; else echo BROKEN; fi`

/** Of our group still: the init refuses every other. */
const asRoot = {
  lines: 'User',
  without: (template: Template) => {
    template.User = template.User!.replace(/^\d+/, '0')
  },
}

const tmpfs =
  (from: string, to: string): Change =>
  ({ HostConfig }) => {
    HostConfig.Tmpfs = { '/tmp': HostConfig.Tmpfs!['/tmp']!.replace(from, to) }
  }
const without =
  (name: string): Change =>
  ({ HostConfig }) => {
    HostConfig.Ulimits = (HostConfig.Ulimits as { Name: string }[]).filter(
      (limit) => limit.Name !== name,
    )
  }
const mount = (template: Template, target: string) =>
  template.HostConfig.Mounts!.find(({ Target }) => Target === target)!
const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )
/** The engine restarts and removes a little later than it says that a container has ended. */
const moment = () => new Promise((resolve) => setTimeout(resolve, 500))
const inspect = (end: RawEnd) => end.container.inspect()

/** Images that {@link TEMPLATE_LINES} need, made with these changes. */
export const LINE_IMAGES = {
  health: {
    tag: 'manyhands-test/attack-health:1',
    changes: ['HEALTHCHECK --interval=100ms CMD ["/bin/touch","/out/checked"]'],
  },
  volume: { tag: 'manyhands-test/attack-volume:1', changes: ['VOLUME /data'] },
} as const

/** Lines of `HostConfig` without a row below, each with the reason. */
export const LINES_WITHOUT_ATTACK: Record<string, string> = {
  PublishAllPorts: 'publishes nothing while the network is none, whatever it says',
  UsernsMode: 'has no effect unless the engine maps users, which this one does not',
  DeviceRequests: 'needs a GPU; container-template.test.ts shows that only granted ids get there',
  Runtime: 'is the owner’s word; absent by default',
  CpuPeriod: 'is the time for which CpuQuota counts, and that line is attacked',
  Init: 'is off, because ours is the entry point; that line is attacked',
}

export const TEMPLATE_LINES: TemplateLine[] = [
  {
    line: 'User',
    attack: 'is root',
    script: tries('test "$(id -u)" = 0'),
    loosen: asRoot.without,
  },
  {
    line: 'CapDrop',
    attack: 'gives a file away',
    script: tries('touch /tmp/f && chown 1:1 /tmp/f'),
    behind: asRoot,
    loosen: ({ HostConfig }) => {
      HostConfig.CapDrop = []
    },
  },
  {
    line: 'CapAdd',
    attack: 'gives a file away with one capability back',
    script: tries('touch /tmp/f && chown 1:1 /tmp/f'),
    behind: asRoot,
    loosen: ({ HostConfig }) => {
      HostConfig.CapAdd = ['CHOWN']
    },
  },
  {
    line: 'Privileged',
    attack: 'holds every capability and sees every device',
    script: requires('grep -q "^CapBnd:.0000000000000000" /proc/self/status'),
    loosen: ({ HostConfig }) => {
      HostConfig.Privileged = true
      HostConfig.CapDrop = []
    },
  },
  {
    line: 'SecurityOpt no-new-privileges',
    attack: 'becomes root by a setuid program',
    script: requires('grep -q "^NoNewPrivs:.1$" /proc/self/status'),
    loosen: ({ HostConfig }) => {
      HostConfig.SecurityOpt = []
    },
  },
  {
    line: 'SecurityOpt seccomp',
    attack: 'makes a user namespace, the way to most kernel holes',
    script: tries('unshare -U true'),
    loosen: ({ HostConfig }) => {
      HostConfig.SecurityOpt!.push('seccomp=unconfined')
    },
  },
  {
    line: 'ReadonlyRootfs',
    attack: 'plants a program in the root file system',
    script: tries('touch /bin/evil'),
    behind: asRoot,
    loosen: ({ HostConfig }) => {
      HostConfig.ReadonlyRootfs = false
    },
  },
  {
    line: 'NetworkMode',
    attack: 'sees the owner’s network interfaces',
    script: requires('[ "$(ls /sys/class/net)" = lo ]'),
    loosen: ({ HostConfig }) => {
      HostConfig.NetworkMode = 'host'
    },
  },
  {
    line: 'PidMode',
    attack: 'sees the owner’s processes',
    script: tries(`test -d /proc/${process.pid}`),
    loosen: ({ HostConfig }) => {
      HostConfig.PidMode = 'host'
    },
  },
  ...(
    [
      ['IpcMode', 'ipc', 'shares memory with the owner’s programs'],
      ['UTSMode', 'uts', 'knows the owner’s host name'],
      ['CgroupnsMode', 'cgroup', 'sees where it stands among the owner’s control groups'],
    ] as const
  ).map(
    ([line, namespace, attack]): TemplateLine => ({
      line,
      attack,
      script: tries(
        `test "$(readlink /proc/self/ns/${namespace})" = "${readlinkSync(`/proc/self/ns/${namespace}`)}"`,
      ),
      loosen: ({ HostConfig }) => {
        Object.assign(HostConfig, { [line]: 'host' })
      },
    }),
  ),
  {
    line: 'PidsLimit',
    attack: 'forks without end',
    script:
      '(i=0; while [ $i -lt 60 ]; do sleep 2 & i=$((i+1)); done; echo BROKEN) 2>/dev/null || echo HELD',
    loosen: ({ HostConfig }) => {
      HostConfig.PidsLimit = 0
    },
  },
  {
    line: 'Memory',
    attack: 'takes more memory than it asked for',
    script: tries('head -c 120m /dev/zero | tail -c 120m >/dev/null'),
    loosen: ({ HostConfig }) => {
      HostConfig.Memory = HostConfig.MemorySwap = 0
    },
  },
  {
    line: 'MemorySwap',
    attack: 'gets as much swap again',
    broken: async (end) => {
      const { HostConfig } = await inspect(end)
      return HostConfig.MemorySwap !== HostConfig.Memory
    },
    loosen: ({ HostConfig }) => {
      delete HostConfig.MemorySwap
    },
  },
  {
    line: 'OomKillDisable',
    attack: 'hangs at its memory limit instead of ending',
    broken: async (end) => (await inspect(end)).HostConfig.OomKillDisable === true,
    loosen: ({ HostConfig }) => {
      HostConfig.OomKillDisable = true
    },
  },
  {
    line: 'OomScoreAdj',
    attack: 'survives while the owner’s programs are killed for memory',
    script: requires('[ "$(cat /proc/self/oom_score_adj)" = 500 ]'),
    loosen: ({ HostConfig }) => {
      HostConfig.OomScoreAdj = 0
    },
  },
  {
    line: 'CpuQuota',
    attack: 'uses every core',
    script: requires(
      'grep -qv -e "^-1" -e "^max" /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || ' +
        'grep -qv "^max" /sys/fs/cgroup/cpu.max 2>/dev/null',
    ),
    loosen: ({ HostConfig }) => {
      HostConfig.CpuQuota = 0
    },
  },
  {
    line: 'CpusetCpus',
    attack: 'runs on every core at once, until its quota is used up',
    script: requires('[ "$(nproc)" = 1 ]'),
    loosen: ({ HostConfig }) => {
      HostConfig.CpusetCpus = ''
    },
  },
  {
    line: 'ShmSize',
    attack: 'fills shared memory',
    script: tries('head -c 20m /dev/zero >/dev/shm/f'),
    behind: { lines: 'Ulimits fsize', without: without('fsize') },
    loosen: ({ HostConfig }) => {
      HostConfig.ShmSize = 32 * MIB
    },
  },
  {
    line: 'Tmpfs size',
    attack: 'fills /tmp',
    script: tries('head -c 20m /dev/zero >/tmp/f'),
    asked: { resources: { diskBytes: 8 * MIB } },
    behind: { lines: 'Ulimits fsize', without: without('fsize') },
    loosen: tmpfs(`size=${8 * MIB}`, `size=${32 * MIB}`),
  },
  {
    line: 'Tmpfs noexec',
    attack: 'runs a program that it brought along',
    script: tries('cp /bin/busybox /tmp/true && /tmp/true'),
    loosen: tmpfs('noexec', 'exec'),
  },
  {
    line: 'Tmpfs nosuid',
    attack: 'keeps a setuid program in /tmp',
    script: requires('grep -q " /tmp tmpfs [^ ]*nosuid" /proc/mounts'),
    loosen: tmpfs('nosuid', 'suid'),
  },
  {
    line: 'Tmpfs nodev',
    attack: 'keeps a device in /tmp',
    script: requires('grep -q " /tmp tmpfs [^ ]*nodev" /proc/mounts'),
    loosen: tmpfs('nodev', 'dev'),
  },
  {
    line: 'Ulimits nofile',
    attack: 'opens files without end',
    script: requires('[ "$(ulimit -Hn)" = 1024 ]'),
    loosen: without('nofile'),
  },
  {
    line: 'Ulimits core',
    attack: 'dumps its memory onto the owner’s disk',
    script: requires('[ "$(ulimit -Hc)" = 0 ]'),
    loosen: without('core'),
  },
  {
    line: 'Ulimits fsize',
    attack: 'writes one file larger than its disk',
    script: tries('head -c 20m /dev/zero >/out/f'),
    loosen: without('fsize'),
  },
  {
    line: 'Mounts /in read-only',
    attack: 'changes an input that others are given as well',
    script: tries('echo evil >/in/a'),
    loosen: (template) => {
      mount(template, '/in').ReadOnly = false
    },
  },
  {
    line: 'Mounts over the image’s volumes',
    attack: 'writes to a volume that no quota sees',
    asked: { image: LINE_IMAGES.volume.tag, volumes: ['/data'] },
    script: requires('grep -q " /data tmpfs .*size=" /proc/mounts'),
    loosen: ({ HostConfig }) => {
      HostConfig.Mounts = HostConfig.Mounts!.filter(({ Target }) => Target !== '/data')
    },
  },
  {
    line: 'Binds',
    attack: 'has a directory of the owner',
    script: tries('test -e /owner/etc/passwd'),
    loosen: ({ HostConfig }) => {
      HostConfig.Binds = ['/:/owner:ro']
    },
  },
  {
    line: 'Devices',
    attack: 'has a device of the owner',
    script: tries('test -c /dev/owner'),
    loosen: ({ HostConfig }) => {
      HostConfig.Devices = [
        { PathOnHost: '/dev/full', PathInContainer: '/dev/owner', CgroupPermissions: 'r' },
      ]
    },
  },
  {
    line: 'Healthcheck',
    attack: 'runs a program that no argv names',
    asked: { image: LINE_IMAGES.health.tag },
    script: 'sleep 0.8',
    broken: ({ workspace }) => exists(join(workspace.outDir, 'checked')),
    loosen: (template) => {
      delete template.Healthcheck
    },
  },
  {
    line: 'Entrypoint',
    attack: 'fills its processes with dead ones',
    script:
      '( (true & exec sleep 0.1) & ); (sleep 0.4; if grep -q "^State:.Z" /proc/[0-9]*/status 2>/dev/null; then echo BROKEN; else echo HELD; fi) & exec sleep 0.8',
    loosen: (template) => {
      template.Entrypoint = template.Cmd
      template.Cmd = []
    },
  },
  {
    line: 'LogConfig',
    attack: 'fills the owner’s disk by writing to stdout',
    script: 'yes | head -c 100000',
    broken: async (end) => (await inspect(end)).LogPath !== '',
    loosen: ({ HostConfig }) => {
      HostConfig.LogConfig = { Type: 'json-file', Config: {} }
    },
  },
  {
    line: 'AutoRemove',
    attack: 'leaves no evidence of how it ended',
    script: 'exit 3',
    broken: async (end) => {
      await moment()
      return inspect(end).then(
        () => false,
        () => true,
      )
    },
    loosen: ({ HostConfig }) => {
      HostConfig.AutoRemove = true
    },
  },
  {
    line: 'RestartPolicy',
    attack: 'starts again after its end',
    script: 'exit 1',
    broken: async (end) => {
      await moment()
      return (await inspect(end)).RestartCount > 0
    },
    loosen: ({ HostConfig }) => {
      HostConfig.RestartPolicy = { Name: 'always' }
    },
  },
]

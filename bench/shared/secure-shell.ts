import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'

const NO_SSHD =
  'There is no sshd or scp here, so there is nothing to compare with and the ratios are null.\n' +
  'Get them with the package openssh-server (Debian: apt-get install openssh-server).\n'

const run = promisify(execFile)

/** An sshd of one benchmark on a loopback port, with keys that live as long as the run. */
export interface SecureShell extends AsyncDisposable {
  /** `USER@127.0.0.1` */
  target: string
  /** What ssh needs to get there: port, key and no questions. */
  ssh: string[]
  /** The same for scp. */
  scp: string[]
}

/**
 * Starts it, or says on stderr why there is none.
 *
 * @param inside - the command that runs a program where the benchmark's processes are
 */
export async function startSecureShell(
  dir: string,
  inside: string[] = [],
): Promise<SecureShell | undefined> {
  const sshd = ['/usr/sbin/sshd', '/usr/local/sbin/sshd', '/usr/bin/sshd'].find(existsSync)
  if (sshd === undefined || !existsSync('/usr/bin/scp')) {
    process.stderr.write(NO_SSHD)
    return undefined
  }
  const keys = join(dir, 'ssh')
  const inKeys = (name: string) => join(keys, name)
  await mkdir(keys, { mode: 0o700 })
  await mkdir('/run/sshd', { recursive: true }).catch(() => undefined)
  const newKey = (name: string) =>
    run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', inKeys(name)])
  await Promise.all([newKey('host'), newKey('user')])
  const port = await freePort()
  const config = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${inKeys('host')}`,
    `AuthorizedKeysFile ${inKeys('user.pub')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    'PidFile none',
    'Subsystem sftp internal-sftp',
  ]
  await writeFile(inKeys('config'), config.join('\n'))
  const [program, ...args] = [...inside, sshd, '-D', '-f', inKeys('config')]
  const server = spawn(program!, args, { stdio: 'ignore' })
  const ended = once(server, 'exit')
  const common = ['-F', '/dev/null', '-i', inKeys('user')]
  for (const option of [
    'BatchMode=yes',
    'StrictHostKeyChecking=no',
    `UserKnownHostsFile=${inKeys('known')}`,
    'LogLevel=ERROR',
  ]) {
    common.push('-o', option)
  }
  const shell: SecureShell = {
    target: `${userInfo().username}@127.0.0.1`,
    ssh: ['-p', `${port}`, ...common],
    scp: ['-P', `${port}`, ...common],
    async [Symbol.asyncDispose]() {
      server.kill()
      await ended
    },
  }
  const [probe, ...probeArgs] = [...inside, 'ssh', ...shell.ssh, shell.target, 'true']
  for (let attempt = 0; attempt < 50; attempt += 1) {
    try {
      await run(probe!, probeArgs)
      return shell
    } catch (error) {
      if (server.exitCode !== null || attempt === 49) {
        process.stderr.write(`sshd could not be set up: ${error}\n`)
      }
      if (server.exitCode !== null) return undefined
      await delay(100)
    }
  }
  await shell[Symbol.asyncDispose]()
  return undefined
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

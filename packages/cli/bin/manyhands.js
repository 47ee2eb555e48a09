#!/bin/sh
':' /*;
# This file is a shell script and a program for Node. As a script it replaces itself (exec: one
# process, one id, every signal) by the Node that it was installed with, whatever the system's own
# is. Where there is no shell, or no such Node, the part below does what can be done without.
here=$(dirname "$(readlink -f "$0" 2>/dev/null || echo "$0")")
while :; do
  node="$here/node_modules/node/bin/node"
  [ -x "$node" ] && exec "$node" "$0" "$@"
  [ "$here" = "${here%/*}" ] && break
  here=${here%/*}
done
exec node "$0" "$@"
*/
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module, { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const NEEDED = [22, 18]
const isEnough = (version) => {
  const [major, minor] = version.split('.').map(Number)
  return major > NEEDED[0] || (major === NEEDED[0] && minor >= NEEDED[1])
}

const built = new URL('../dist/main.js', import.meta.url)
const source = new URL('../src/main.ts', import.meta.url)
const fromSource = !existsSync(built)
const condition = '--conditions=@manyhands/source'

if (!isEnough(process.versions.node)) {
  const node = installedNode()
  if (node === undefined) {
    console.error(
      `error CONFIG_INVALID: Node ${process.versions.node} is too old; ${NEEDED.join('.')} is needed`,
    )
    console.error('hint: Install a newer Node, or reinstall manyhands with its dependencies.')
    process.exit(7)
  }
  runUnder(node)
} else if (fromSource && !process.execArgv.includes(condition)) {
  runUnder(process.execPath)
} else {
  // Most of a short command's time would be compiling the same files again.
  module.enableCompileCache?.()
  await import((fromSource ? source : built).href)
}

/** The Node of the `node` package, a dependency of this one. */
function installedNode() {
  try {
    const require = createRequire(import.meta.url)
    const manifest = require.resolve('node/package.json')
    const { bin, version } = require(manifest)
    const path = join(dirname(manifest), typeof bin === 'string' ? bin : bin.node)
    return isEnough(version) ? path : undefined
  } catch {
    return undefined
  }
}

/** Runs the same command under another Node and ends as it ends. */
function runUnder(node) {
  const args = fromSource ? [condition, fileURLToPath(source)] : [fileURLToPath(import.meta.url)]
  // The channel tells the command when this process is gone, even by SIGKILL: it must not outlive it.
  const child = spawn(node, [...args, ...process.argv.slice(2)], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, MANYHANDS_LAUNCHER: String(process.pid) },
  })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.once('error', (error) => {
    console.error(`error CONFIG_INVALID: cannot run ${node}: ${error.message}`)
    process.exit(7)
  })
  child.once('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    for (const name of signals) process.removeAllListeners(name)
    process.kill(process.pid, signal)
  })
}

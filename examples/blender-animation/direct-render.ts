import { chmod, mkdir, rm } from 'node:fs/promises'
import { run } from '../debian-image/debian-image.ts'
import { BLENDER_IMAGE } from './build-image.ts'

/**
 * Renders the same frames with a plain `docker run`, all in one container and one Blender, below the
 * same limits as a host sets. What comes out is what the frames of the hosts are held against.
 */
export async function renderDirectly(
  scene: string,
  frames: number,
  directory: string,
): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  // The container's user is a stranger to this directory.
  await chmod(directory, 0o777)
  const sandbox = [
    ...['--network', 'none', '--read-only', '--user', '10001:10001', '--cap-drop', 'ALL'],
    ...['--security-opt', 'no-new-privileges', '--pids-limit', '128', '--cpus', '1'],
    ...['--memory', '1g', '--memory-swap', '1g', '--tmpfs', '/tmp:nosuid,nodev,noexec,size=64m'],
    ...[
      '--env',
      'HOME=/tmp',
      '--volume',
      `${scene}:/in/scene.py:ro`,
      '--volume',
      `${directory}:/out`,
    ],
  ]
  const argv = sceneCommand(`1-${frames}`, frames)
  const { code, stderr } = await run('docker', ['run', '--rm', ...sandbox, BLENDER_IMAGE, ...argv])
  if (code !== 0) throw new Error(`docker run ended with ${code}: ${stderr.trim().slice(-500)}`)
}

/** argv that renders a frame (or a range such as 1-24) of a loop of `frames`. */
export const sceneCommand = (frame: string, frames: number) => [
  ...['blender', '-b', '--factory-startup', '-P', '/in/scene.py', '--'],
  ...['--frame', frame, '--frames', String(frames), '--out', '/out/'],
]

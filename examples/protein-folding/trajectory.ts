/** What GROMACS says of one trajectory. */
export interface Trajectory {
  frames: number
  /** Between two frames, ps; undefined where not all of them are as far apart. */
  stepPs: number | undefined
  /** When a frame does not follow the one before it as all others do. */
  breaks: string[]
  /** Time in ps, radius of gyration in nm. */
  radius: { ps: number; nm: number }[]
}

/** @param check - what `gmx check` wrote; @param xvg - of `gmx gyrate` */
export function readTrajectory(check: string, xvg: string): Trajectory {
  const [, frames, step] = /^Coords\s+(\d+)(?:\s+([\d.]+))?\s*$/m.exec(check) ?? []
  const breaks = check
    .split(/[\r\n]+/)
    .filter((line) => /don't match|Timesteps at|corrupt/i.test(line))
  const radius = xvg
    .split('\n')
    .filter((line) => /^\s*[\d.]/.test(line))
    .map((line) => {
      const [ps = Number.NaN, nm = Number.NaN] = line.trim().split(/\s+/).map(Number)
      return { ps, nm }
    })
  return {
    frames: Number(frames ?? 0),
    stepPs: step === undefined ? undefined : Number(step),
    breaks,
    radius,
  }
}

/** Whether it has every frame from the beginning to the end once: no gap, no overlap. */
export function isWhole({ frames, stepPs, breaks, radius }: Trajectory, untilPs: number): boolean {
  const expected = untilPs + 1
  return (
    frames === expected &&
    stepPs === 1 &&
    breaks.length === 0 &&
    radius.length === expected &&
    radius.every(({ ps, nm }, frame) => ps === frame && nm > 0)
  )
}

/** One frame of a structure or a trajectory: what its atoms are, and where, x y z of each, nm. */
export interface Frame {
  /** One text for each atom, as the file names it. */
  atoms: string[]
  positions: Float64Array
}

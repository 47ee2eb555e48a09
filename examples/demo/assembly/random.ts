// Numbers that look random and are the same for the same frame: a frame that two hosts render comes
// out equal, byte for byte.

let state: u32 = 0

function hash(value: u32): u32 {
  value ^= value >> 16
  value *= 0x7feb352d
  value ^= value >> 15
  value *= 0x846ca68b
  return value ^ (value >> 16)
}

/** Starts the numbers of one sample of one pixel. */
export function seed(pixel: u32, sample: u32, frame: u32): void {
  state = hash(pixel ^ hash(sample ^ hash(frame + 0x9e3779b9)))
}

/** Uniform in [0, 1). */
export function random(): f32 {
  state = state * 747796405 + 2891336453
  const word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737
  return <f32>(((word >> 22) ^ word) >> 8) * (1.0 / 16777216.0)
}

/**
 * The number of one dimension for a pixel's nth sample: the samples of a pixel are spread evenly by
 * the golden ratio's relatives, and each pixel begins elsewhere, so that what error remains is fine
 * grain instead of blotches.
 */
export function spread(pixel: u32, sample: u32, dimension: u32): f32 {
  const step: u32 = dimension & 1 ? 2447445414 : 3242174889
  const start = hash(pixel * 0x9e3779b1 ^ hash(dimension * 0x85ebca6b + 1))
  return <f32>((start + sample * step) >> 8) * (1.0 / 16777216.0)
}

// The picture while it grows, and what is done to it afterwards: a filter that takes out what noise
// is left, a glow around what is bright, and the film's response.

/** One pixel: red green blue, normal x y z, distance, red green blue of the surface, brightness squared. */
const STRIDE: usize = 44

export class Film {
  readonly pixels: usize
  readonly light: usize
  readonly spare: usize
  readonly noise: usize

  constructor(readonly width: i32, readonly height: i32) {
    const count = <usize>(width * height)
    this.pixels = heap.alloc(STRIDE * count)
    this.light = heap.alloc(16 * count)
    this.spare = heap.alloc(16 * count)
    this.noise = heap.alloc(4 * count)
    memory.fill(this.pixels, 0, STRIDE * count)
  }

  add(pixel: i32, r: f32, g: f32, b: f32, nx: f32, ny: f32, nz: f32, distance: f32, sr: f32, sg: f32, sb: f32): void {
    const at = this.pixels + STRIDE * pixel
    sum(at, 0, r)
    sum(at, 4, g)
    sum(at, 8, b)
    sum(at, 12, nx)
    sum(at, 16, ny)
    sum(at, 20, nz)
    sum(at, 24, distance)
    sum(at, 28, sr)
    sum(at, 32, sg)
    sum(at, 36, sb)
    const bright = brightness(r / (sr + FLOOR), g / (sg + FLOOR), b / (sb + FLOOR))
    sum(at, 40, bright * bright)
  }

  /** Turns sums of `samples` into means, light apart from surface colour, and an estimate of noise. */
  settle(samples: i32): void {
    const scale: f32 = 1.0 / <f32>samples
    const count = this.width * this.height
    for (let pixel = 0; pixel < count; pixel++) {
      const at = this.pixels + STRIDE * pixel
      for (let offset: usize = 0; offset < STRIDE; offset += 4) store<f32>(at + offset, load<f32>(at + offset) * scale)
      const r = load<f32>(at) / (load<f32>(at, 28) + FLOOR)
      const g = load<f32>(at, 4) / (load<f32>(at, 32) + FLOOR)
      const b = load<f32>(at, 8) / (load<f32>(at, 36) + FLOOR)
      const to = this.light + 16 * pixel
      store<f32>(to, r)
      store<f32>(to, g, 4)
      store<f32>(to, b, 8)
      const mean = brightness(r, g, b)
      store<f32>(this.noise + 4 * pixel, max<f32>(0, load<f32>(at, 40) - mean * mean) * scale)
    }
  }

  /**
   * Averages neighbours that show the same surface and differ no more than noise explains, at growing
   * distances (an edge-avoiding wavelet transform).
   */
  denoise(rounds: i32): void {
    let from = this.light
    let to = this.spare
    for (let round = 0; round < rounds; round++) {
      this.smooth(from, to, 1 << round, <f32>3.0)
      const swap = from
      from = to
      to = swap
    }
    if (from != this.light) memory.copy(this.light, from, <usize>(16 * this.width * this.height))
  }

  private smooth(from: usize, to: usize, step: i32, tolerance: f32): void {
    const width = this.width
    const height = this.height
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const pixel = y * width + x
        const here = from + 16 * pixel
        const surface = this.pixels + STRIDE * pixel
        const nx = load<f32>(surface, 12)
        const ny = load<f32>(surface, 16)
        const nz = load<f32>(surface, 20)
        const far = load<f32>(surface, 24)
        const r = load<f32>(here)
        const g = load<f32>(here, 4)
        const b = load<f32>(here, 8)
        const bright = brightness(r, g, b)
        const spread: f32 = 1.0 / (tolerance * sqrt<f32>(this.noiseAround(x, y)) + 0.004 + 0.01 * bright)
        const flat: f32 = 1.0 / (0.02 * far * <f32>step + 0.02)
        let weights: f32 = 0
        let tr: f32 = 0
        let tg: f32 = 0
        let tb: f32 = 0
        for (let v = -2; v <= 2; v++) {
          const py = y + v * step
          if (py < 0 || py >= height) continue
          for (let u = -2; u <= 2; u++) {
            const px = x + u * step
            if (px < 0 || px >= width) continue
            const other = py * width + px
            const there = from + 16 * other
            const beside = this.pixels + STRIDE * other
            const ar = load<f32>(there)
            const ag = load<f32>(there, 4)
            const ab = load<f32>(there, 8)
            const dx = load<f32>(beside, 12) - nx
            const dy = load<f32>(beside, 16) - ny
            const dz = load<f32>(beside, 20) - nz
            const off =
              abs<f32>(brightness(ar, ag, ab) - bright) * spread +
              (dx * dx + dy * dy + dz * dz) * 24.0 +
              abs<f32>(load<f32>(beside, 24) - far) * flat
            // Falls like an exponential and needs no library.
            const near: f32 = max<f32>(0, 1.0 - off * 0.25)
            const weight: f32 = near * near * near * near * real((3 - abs(u)) * (3 - abs(v)))
            weights += weight
            tr += ar * weight
            tg += ag * weight
            tb += ab * weight
          }
        }
        const scale: f32 = 1.0 / weights
        const out = to + 16 * pixel
        store<f32>(out, tr * scale)
        store<f32>(out, tg * scale, 4)
        store<f32>(out, tb * scale, 8)
      }
    }
  }

  private noiseAround(x: i32, y: i32): f32 {
    let total: f32 = 0
    let weights: f32 = 0
    for (let v = max(0, y - 1); v <= min(this.height - 1, y + 1); v++) {
      for (let u = max(0, x - 1); u <= min(this.width - 1, x + 1); u++) {
        const weight: f32 = u == x && v == y ? 2 : 1
        total += weight * load<f32>(this.noise + 4 * (v * this.width + u))
        weights += weight
      }
    }
    return total / weights
  }

  /** Gives the surfaces their colours back. */
  colour(): void {
    const count = this.width * this.height
    for (let pixel = 0; pixel < count; pixel++) {
      const at = this.light + 16 * pixel
      const surface = this.pixels + STRIDE * pixel
      store<f32>(at, load<f32>(at) * (load<f32>(surface, 28) + FLOOR))
      store<f32>(at, load<f32>(at, 4) * (load<f32>(surface, 32) + FLOOR), 4)
      store<f32>(at, load<f32>(at, 8) * (load<f32>(surface, 36) + FLOOR), 8)
    }
  }

  /** Adds a soft light around what is brighter than paper, as a lens does. */
  glow(): void {
    const count = <usize>(this.width * this.height)
    const bright = heap.alloc(16 * count)
    for (let pixel: usize = 0; pixel < count; pixel++) {
      for (let channel: usize = 0; channel < 12; channel += 4) {
        const value = load<f32>(this.light + 16 * pixel + channel)
        store<f32>(bright + 16 * pixel + channel, min<f32>(4.0, max<f32>(0, value - 1.1)))
      }
    }
    const radius = max(2, this.height / 24)
    for (let round = 0; round < 3; round++) {
      blur(bright, this.spare, this.width, this.height, 1, this.width, radius)
      blur(this.spare, bright, this.height, this.width, this.width, 1, radius)
    }
    for (let pixel: usize = 0; pixel < count; pixel++) {
      for (let channel: usize = 0; channel < 12; channel += 4) {
        const at = this.light + 16 * pixel + channel
        store<f32>(at, load<f32>(at) + 0.5 * load<f32>(bright + 16 * pixel + channel))
      }
    }
  }

  /** Bytes as a screen shows them, three a pixel. */
  develop(exposure: f32): usize {
    const out = heap.alloc(<usize>(3 * this.width * this.height))
    for (let y = 0; y < this.height; y++) {
      for (let x = 0; x < this.width; x++) {
        const pixel = y * this.width + x
        const u = real(2 * x + 1 - this.width) / real(this.width)
        const v = real(2 * y + 1 - this.height) / real(this.height)
        const shade: f32 = exposure * (1.0 - 0.16 * (u * u + v * v))
        for (let channel = 0; channel < 3; channel++) {
          const value = response(shade * load<f32>(this.light + 16 * pixel + 4 * channel))
          store<u8>(out + 3 * pixel + channel, <u8>min<f32>(255, value * 255 + 0.5))
        }
      }
    }
    return out
  }
}

/** Keeps light apart from dark surfaces finite. */
const FLOOR: f32 = 0.02

function real(value: i32): f32 {
  return <f32>value
}

function sum(at: usize, offset: usize, value: f32): void {
  store<f32>(at + offset, load<f32>(at + offset) + value)
}

function brightness(r: f32, g: f32, b: f32): f32 {
  return 0.3 * r + 0.6 * g + 0.1 * b
}

/** A running mean along one axis: three rounds come close to a bell. */
function blur(from: usize, to: usize, length: i32, lines: i32, along: i32, across: i32, radius: i32): void {
  const scale: f32 = 1.0 / real(2 * radius + 1)
  for (let line = 0; line < lines; line++) {
    for (let channel: usize = 0; channel < 12; channel += 4) {
      const base = <usize>(16 * line * across) + channel
      let total: f32 = 0
      for (let index = -radius; index <= radius; index++) {
        if (index >= 0 && index < length) total += load<f32>(from + base + 16 * index * along)
      }
      for (let index = 0; index < length; index++) {
        store<f32>(to + base + 16 * index * along, total * scale)
        const enters = index + radius + 1
        const leaves = index - radius
        if (enters < length) total += load<f32>(from + base + 16 * enters * along)
        if (leaves >= 0) total -= load<f32>(from + base + 16 * leaves * along)
      }
    }
  }
}

/** The film's curve (after Narkowicz's fit of ACES), then the screen's. */
function response(light: f32): f32 {
  const x = max<f32>(0, light) * 0.8
  const y: f32 = (x * (2.51 * x + 0.03)) / (x * (2.43 * x + 0.59) + 0.14)
  const clamped = min<f32>(1.0, y)
  return clamped <= 0.0031308 ? 12.92 * clamped : 1.055 * Mathf.pow(clamped, 1.0 / 2.4) - 0.055
}

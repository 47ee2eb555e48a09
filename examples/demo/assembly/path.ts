// Follows a path of light backwards from the eye until it is lost or unimportant.
import { random, spread } from "./random"
import {
  aim, blue, clearBlue, clearGreen, clearRed, clearTo, distance, dx, dy, dz, FAR, green, ox, oy, oz, red, sky, thing,
  trace,
} from "./ray"
import {
  COATED, FIRST_LIGHT, GLASS, LIGHT, LIGHTS, METAL, STRIDE, SUN_BLUE, SUN_GREEN, SUN_RED, SUN_SIZE, SUN_X, SUN_Y,
  SUN_Z, spheres,
} from "./scene"

const BOUNCES: i32 = 9
const DIFFUSE_BOUNCES: i32 = 2
const TURN: f32 = 6.2831853
const PI: f32 = 3.1415927
/** What one indirect contribution may be at most: rare bright paths would be seen as speckles. */
const BRIGHTEST: f32 = 6.0

/** What the path brought. */
export let pathRed: f32 = 0
export let pathGreen: f32 = 0
export let pathBlue: f32 = 0

/** What was seen first, for the filter: normal, distance, and the colour that light was multiplied by. */
export let seenX: f32 = 0
export let seenY: f32 = 0
export let seenZ: f32 = 0
export let seenDistance: f32 = 0
export let seenRed: f32 = 1
export let seenGreen: f32 = 1
export let seenBlue: f32 = 1

let carryRed: f32 = 1
let carryGreen: f32 = 1
let carryBlue: f32 = 1

function gather(r: f32, g: f32, b: f32, limit: f32): void {
  pathRed += min<f32>(carryRed * r, limit)
  pathGreen += min<f32>(carryGreen * g, limit)
  pathBlue += min<f32>(carryBlue * b, limit)
}

let sideX: f32 = 0
let sideY: f32 = 0
let sideZ: f32 = 0
let overX: f32 = 0
let overY: f32 = 0
let overZ: f32 = 0

/** Two directions at right angles to a given one. */
function frameOf(x: f32, y: f32, z: f32): void {
  const sign: f32 = z >= 0 ? 1 : -1
  const a: f32 = -1.0 / (sign + z)
  const b = x * y * a
  sideX = 1.0 + sign * x * x * a
  sideY = sign * b
  sideZ = -sign * x
  overX = b
  overY = sign + y * y * a
  overZ = -y
}

function schlick(cosine: f32, normal: f32): f32 {
  const m: f32 = 1.0 - cosine
  const m2 = m * m
  return normal + (1.0 - normal) * m2 * m2 * m
}

/** Sunlight and one of the small lights on a matt surface at the ray's origin. */
function lit(nx: f32, ny: f32, nz: f32, x: f32, y: f32, z: f32, u: f32, v: f32, w: f32, s: f32, limit: f32): void {
  // The sun: a point on its disc.
  let radius: f32 = SUN_SIZE * sqrt<f32>(u)
  let turn: f32 = TURN * v
  frameOf(SUN_X, SUN_Y, SUN_Z)
  let a: f32 = radius * Mathf.cos(turn)
  let b: f32 = radius * Mathf.sin(turn)
  aim(x, y, z, SUN_X + a * sideX + b * overX, SUN_Y + a * sideY + b * overY, SUN_Z + a * sideZ + b * overZ)
  let facing = nx * dx + ny * dy + nz * dz
  if (facing > 0 && clearTo(FAR)) {
    gather(SUN_RED * facing * clearRed, SUN_GREEN * facing * clearGreen, SUN_BLUE * facing * clearBlue, limit)
  }
  // One of the lights: a direction into the cone that it fills.
  const chosen = min<i32>(LIGHTS - 1, <i32>(w * <f32>LIGHTS))
  const rest: f32 = w * <f32>LIGHTS - <f32>chosen
  const at = spheres + STRIDE * (FIRST_LIGHT + chosen)
  let lx = load<f32>(at) - x
  let ly = load<f32>(at, 4) - y
  let lz = load<f32>(at, 8) - z
  const size = load<f32>(at, 12)
  const square = lx * lx + ly * ly + lz * lz
  const away = sqrt<f32>(square)
  lx /= away
  ly /= away
  lz /= away
  const wide = sqrt<f32>(max<f32>(0, 1.0 - (size * size) / square))
  const cosine: f32 = 1.0 - rest * (1.0 - wide)
  const sine = sqrt<f32>(max<f32>(0, 1.0 - cosine * cosine))
  turn = TURN * s
  frameOf(lx, ly, lz)
  a = sine * Mathf.cos(turn)
  b = sine * Mathf.sin(turn)
  aim(x, y, z, cosine * lx + a * sideX + b * overX, cosine * ly + a * sideY + b * overY, cosine * lz + a * sideZ + b * overZ)
  facing = nx * dx + ny * dy + nz * dz
  if (facing > 0 && clearTo(away - size)) {
    const share: f32 = facing * 2.0 * (1.0 - wide) * <f32>LIGHTS
    gather(
      load<f32>(at, 24) * share * clearRed,
      load<f32>(at, 28) * share * clearGreen,
      load<f32>(at, 32) * share * clearBlue,
      limit,
    )
  }
}

let floorRed: f32 = 0
let floorGreen: f32 = 0
let floorBlue: f32 = 0

function floorColour(x: f32, z: f32): void {
  const u = 0.8 * (x + z)
  const v = 0.8 * (x - z)
  const tile = (<i32>floor(u) + <i32>floor(v)) & 1
  floorRed = tile ? 0.5 : 0.03
  floorGreen = tile ? 0.46 : 0.036
  floorBlue = tile ? 0.4 : 0.05
}

/** Follows the current ray; `pixel` and `sample` choose its numbers. */
export function follow(pixel: u32, sample: u32): void {
  pathRed = 0
  pathGreen = 0
  pathBlue = 0
  carryRed = 1
  carryGreen = 1
  carryBlue = 1
  seenX = 0
  seenY = 0
  seenZ = 0
  seenDistance = 60
  seenRed = 1
  seenGreen = 1
  seenBlue = 1
  // Whether the last surface was a mirror or a lens: then lights are seen, else they were sampled.
  let clear = true
  let diffuse = 0
  let mist: f32 = 0

  for (let bounce = 0; bounce < BOUNCES; bounce++) {
    trace()
    const limit: f32 = diffuse > 0 ? BRIGHTEST : 40.0
    if (distance >= FAR) {
      sky(clear && bounce > 0)
      gather(red, green, blue, limit)
      return
    }
    const t = distance
    const at = thing
    if (bounce == 0) seenDistance = t
    const x = ox + t * dx
    const y = oy + t * dy
    const z = oz + t * dz
    let nx: f32 = 0
    let ny: f32 = 1
    let nz: f32 = 0
    let kind = COATED
    let roughness: f32 = 0
    let r: f32 = 0
    let g: f32 = 0
    let b: f32 = 0
    let plain: f32 = 0.045
    if (at == 0) {
      // Far floor fades into the sky above the horizon.
      const far = t * (1.0 / 30.0)
      mist = 1.0 - 1.0 / (1.0 + far * far * far * far)
      if (mist > 0.004) {
        const down = dy
        dy = 0.002
        sky(false)
        dy = down
        gather(red * mist, green * mist, blue * mist, limit)
        const kept: f32 = 1.0 - mist
        if (kept < 0.02) return
        carryRed *= kept
        carryGreen *= kept
        carryBlue *= kept
      }
      floorColour(x, z)
      r = floorRed
      g = floorGreen
      b = floorBlue
      roughness = 0.035
    } else {
      const scale: f32 = 1.0 / load<f32>(at, 12)
      nx = (x - load<f32>(at)) * scale
      ny = (y - load<f32>(at, 4)) * scale
      nz = (z - load<f32>(at, 8)) * scale
      kind = load<i32>(at, 16)
      roughness = load<f32>(at, 20)
      r = load<f32>(at, 24)
      g = load<f32>(at, 28)
      b = load<f32>(at, 32)
    }
    if (bounce == 0) {
      seenX = nx
      seenY = ny
      seenZ = nz
    }
    if (kind == LIGHT) {
      // The middle of a light is brighter than its rim.
      if (clear) {
        const middle = max<f32>(0, -(nx * dx + ny * dy + nz * dz))
        const shine: f32 = 0.06 + 0.12 * middle * middle
        gather(r * shine, g * shine, b * shine, 8.0)
      }
      return
    }
    let cosine = -(nx * dx + ny * dy + nz * dz)
    const inside = cosine < 0
    if (inside) {
      nx = -nx
      ny = -ny
      nz = -nz
      cosine = -cosine
    }
    if (bounce == 0 && kind == COATED) {
      // The same for each sample of a pixel, mirrored or not: else the filter would see noise in it.
      const mirrored = schlick(cosine, plain)
      seenRed = r + (1.0 - r) * mirrored
      seenGreen = g + (1.0 - g) * mirrored
      seenBlue = b + (1.0 - b) * mirrored
    }
    const choice = bounce == 0 ? spread(pixel, sample, 4) : random()

    if (kind == GLASS) {
      const ratio: f32 = inside ? 1.5 : 1.0 / 1.5
      const under: f32 = 1.0 - ratio * ratio * (1.0 - cosine * cosine)
      let reflected: f32 = 1.0
      let inner: f32 = 0
      if (under > 0) {
        inner = sqrt<f32>(under)
        reflected = schlick(inside ? inner : cosine, 0.04)
      }
      if (choice < reflected) {
        aim(x, y, z, dx + 2.0 * cosine * nx, dy + 2.0 * cosine * ny, dz + 2.0 * cosine * nz)
      } else {
        const bend = ratio * cosine - inner
        aim(x, y, z, ratio * dx + bend * nx, ratio * dy + bend * ny, ratio * dz + bend * nz)
        carryRed *= r
        carryGreen *= g
        carryBlue *= b
      }
      clear = true
    } else if (kind == METAL || choice < schlick(cosine, plain)) {
      let mx = dx + 2.0 * cosine * nx
      let my = dy + 2.0 * cosine * ny
      let mz = dz + 2.0 * cosine * nz
      if (roughness > 0) {
        // A point in a ball at the mirrored direction's tip.
        const u = bounce == 0 ? spread(pixel, sample, 5) : random()
        const v = bounce == 0 ? spread(pixel, sample, 6) : random()
        const height: f32 = 1.0 - 2.0 * u
        const around = sqrt<f32>(max<f32>(0, 1.0 - height * height))
        mx += roughness * around * Mathf.cos(TURN * v)
        my += roughness * height
        mz += roughness * around * Mathf.sin(TURN * v)
        if (mx * nx + my * ny + mz * nz <= 0) return
      }
      aim(x, y, z, mx, my, mz)
      if (kind == METAL) {
        const edge = schlick(cosine, 0)
        carryRed *= r + (1.0 - r) * edge
        carryGreen *= g + (1.0 - g) * edge
        carryBlue *= b + (1.0 - b) * edge
      }
      clear = true
    } else {
      carryRed *= r
      carryGreen *= g
      carryBlue *= b
      const px = x + 1e-3 * nx
      const py = y + 1e-3 * ny
      const pz = z + 1e-3 * nz
      if (diffuse == 0) {
        lit(nx, ny, nz, px, py, pz, spread(pixel, sample, 7), spread(pixel, sample, 8), spread(pixel, sample, 9), spread(pixel, sample, 10), 40.0)
      } else {
        lit(nx, ny, nz, px, py, pz, random(), random(), random(), random(), BRIGHTEST)
      }
      diffuse++
      if (diffuse > DIFFUSE_BOUNCES) return
      const u = diffuse == 1 ? spread(pixel, sample, 11) : random()
      const v = diffuse == 1 ? spread(pixel, sample, 12) : random()
      const radius = sqrt<f32>(u)
      const up: f32 = sqrt<f32>(1.0 - u)
      const a: f32 = radius * Mathf.cos(TURN * v)
      const c: f32 = radius * Mathf.sin(TURN * v)
      frameOf(nx, ny, nz)
      aim(px, py, pz, up * nx + a * sideX + c * overX, up * ny + a * sideY + c * overY, up * nz + a * sideZ + c * overZ)
      clear = false
    }
    // Paths that carry little end early; those that go on carry more, so that nothing is lost.
    if (bounce > 2) {
      const strongest = max<f32>(carryRed, max<f32>(carryGreen, carryBlue))
      const chance = min<f32>(1.0, strongest + 0.1)
      if (random() >= chance) return
      const more: f32 = 1.0 / chance
      carryRed *= more
      carryGreen *= more
      carryBlue *= more
    }
  }
}

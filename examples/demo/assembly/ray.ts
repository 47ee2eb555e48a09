// One ray at a time, in globals: a path is followed millions of times and must not allocate.
import {
  BOUND_RADIUS, BOUND_Y, COATED, FLOOR, GLASS, LIGHT, SPHERES, STRIDE, SUN_BLUE, SUN_GREEN, SUN_RED, SUN_X, SUN_Y,
  SUN_Z, spheres,
} from "./scene"

export const FAR: f32 = 1e30
const NEAR: f32 = 1e-3

export let ox: f32 = 0
export let oy: f32 = 0
export let oz: f32 = 0
export let dx: f32 = 0
export let dy: f32 = 0
export let dz: f32 = 1

export function aim(x: f32, y: f32, z: f32, toX: f32, toY: f32, toZ: f32): void {
  ox = x
  oy = y
  oz = z
  const scale: f32 = 1.0 / sqrt<f32>(toX * toX + toY * toY + toZ * toZ)
  dx = toX * scale
  dy = toY * scale
  dz = toZ * scale
}

/** Distance of the nearest hit; FAR for the sky. */
export let distance: f32 = FAR
/** What was hit: the memory of a sphere, or 0 for the floor. */
export let thing: usize = 0

/** Whether the ray passes the ball around all spheres at all: most rays to the sky do not. */
function nearSpheres(): bool {
  const by = oy - BOUND_Y
  const b = ox * dx + by * dy + oz * dz
  const c = ox * ox + by * by + oz * oz - BOUND_RADIUS * BOUND_RADIUS
  return c < 0 || (b < 0 && b * b > c)
}

export function trace(): void {
  distance = FAR
  thing = 0
  if (dy < -1e-6) {
    const t = -oy / dy
    if (t > NEAR) distance = t
  }
  if (!nearSpheres()) return
  const end = spheres + STRIDE * SPHERES
  for (let at = spheres; at < end; at += STRIDE) {
    const x = ox - load<f32>(at)
    const y = oy - load<f32>(at, 4)
    const z = oz - load<f32>(at, 8)
    const radius = load<f32>(at, 12)
    const b = x * dx + y * dy + z * dz
    const c = x * x + y * y + z * z - radius * radius
    const d = b * b - c
    if (d <= 0) continue
    const root = sqrt<f32>(d)
    let t = -b - root
    if (t < NEAR) t = -b + root
    if (t > NEAR && t < distance) {
      distance = t
      thing = at
    }
  }
}

export let clearRed: f32 = 1
export let clearGreen: f32 = 1
export let clearBlue: f32 = 1

/**
 * What of a light's brightness comes through to the ray's origin: nothing behind solid things, a
 * bright middle and a dim rim behind glass, as a lens gathers it. A light shines through itself.
 */
export function clearTo(limit: f32): bool {
  clearRed = 1
  clearGreen = 1
  clearBlue = 1
  if (!nearSpheres()) return true
  const end = spheres + STRIDE * SPHERES
  for (let at = spheres; at < end; at += STRIDE) {
    const kind = load<i32>(at, 16)
    if (kind == LIGHT) continue
    const x = ox - load<f32>(at)
    const y = oy - load<f32>(at, 4)
    const z = oz - load<f32>(at, 8)
    const radius = load<f32>(at, 12)
    const b = x * dx + y * dy + z * dz
    const c = x * x + y * y + z * z - radius * radius
    const d = b * b - c
    if (d <= 0) continue
    const root = sqrt<f32>(d)
    const t = -b - root
    if (t >= limit || root - b <= NEAR || (t <= NEAR && kind != GLASS)) continue
    if (kind != GLASS) return false
    const straight = root / radius
    const lens: f32 = 0.12 + 1.5 * straight * straight * straight * straight
    clearRed *= lens * load<f32>(at, 24)
    clearGreen *= lens * load<f32>(at, 28)
    clearBlue *= lens * load<f32>(at, 32)
  }
  return true
}

export let red: f32 = 0
export let green: f32 = 0
export let blue: f32 = 0

/** Colour of the sky where the ray leads, with the sun's disc only where a mirror or lens shows it. */
export function sky(withSun: bool): void {
  const up = max<f32>(dy, 0)
  const towards = max<f32>(dx * SUN_X + dy * SUN_Y + dz * SUN_Z, 0)
  const height: f32 = 1.0 - up
  const mid = height * height
  const low4 = mid * mid
  const low = low4 * low4
  red = 0.012 + 0.07 * mid + 0.13 * low4 + 0.58 * low
  green = 0.03 + 0.1 * mid + 0.02 * low4 + 0.12 * low
  blue = 0.12 + 0.2 * mid - 0.1 * low
  const glow2 = towards * towards
  const glow4 = glow2 * glow2
  const glow16 = glow4 * glow4 * glow4 * glow4
  const glow64 = glow16 * glow16 * glow16 * glow16
  const near: f32 = 0.28 * glow4 + 0.5 * glow16 + 0.9 * glow64
  red += near * 1.0
  green += near * 0.56
  blue += near * 0.2
  if (withSun && towards > 0.9982) {
    red += 6.0 * SUN_RED
    green += 6.0 * SUN_GREEN
    blue += 6.0 * SUN_BLUE
  }
}

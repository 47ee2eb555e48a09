// Spheres on a polished floor at the golden hour: a large one of glass, a ring of seven around it,
// and three small lights that run the other way. Everything is periodic in time, so that the last
// frame leads into the first.

export const GLASS: i32 = 0
export const METAL: i32 = 1
export const COATED: i32 = 2
export const LIGHT: i32 = 3
export const FLOOR: i32 = 4

/** x y z radius, kind, roughness, red green blue: numbers of one sphere, in memory one after the other. */
export const STRIDE: usize = 36
export const SPHERES: i32 = 11
export const LIGHTS: i32 = 3
export const FIRST_LIGHT: i32 = SPHERES - LIGHTS

export const spheres = heap.alloc(STRIDE * SPHERES)

/** No sphere is ever outside of this one around the middle. */
export const BOUND_Y: f32 = 0.95
export const BOUND_RADIUS: f32 = 2.85

export const SUN_X: f32 = -0.7548
export const SUN_Y: f32 = 0.3774
export const SUN_Z: f32 = -0.5365
export const SUN_SIZE: f32 = 0.055
export const SUN_RED: f32 = 4.2
export const SUN_GREEN: f32 = 2.6
export const SUN_BLUE: f32 = 1.3

function put(index: i32, x: f32, y: f32, z: f32, radius: f32, kind: i32, roughness: f32, red: f32, green: f32, blue: f32): void {
  const at = spheres + STRIDE * index
  store<f32>(at, x)
  store<f32>(at, y, 4)
  store<f32>(at, z, 8)
  store<f32>(at, radius, 12)
  store<i32>(at, kind, 16)
  store<f32>(at, roughness, 20)
  store<f32>(at, red, 24)
  store<f32>(at, green, 28)
  store<f32>(at, blue, 32)
}

const TURN: f32 = 6.2831853

function ring(index: i32, time: f32, radius: f32, kind: i32, roughness: f32, red: f32, green: f32, blue: f32): void {
  const angle = TURN * (<f32>index / 7.0 + time)
  const lift: f32 = 0.5 + 0.5 * Mathf.sin(TURN * (2.0 * time + <f32>index * 0.3))
  put(1 + index, 2.1 * Mathf.cos(angle), radius + 0.42 * lift * lift, 2.1 * Mathf.sin(angle), radius, kind, roughness, red, green, blue)
}

function light(index: i32, time: f32, red: f32, green: f32, blue: f32): void {
  const angle = TURN * (<f32>index / 3.0 - time) + 0.7
  const height: f32 = 0.34 + 0.16 * Mathf.sin(TURN * (time + <f32>index / 3.0))
  put(FIRST_LIGHT + index, 1.42 * Mathf.cos(angle), height, 1.42 * Mathf.sin(angle), 0.11, LIGHT, 0, red, green, blue)
}

/** Places everything for a time in [0, 1). */
export function arrange(time: f32): void {
  put(0, 0, 1.0 + 0.06 * Mathf.sin(TURN * time), 0, 0.98, GLASS, 0, 0.985, 0.995, 1.0)
  ring(0, time, 0.44, METAL, 0.04, 1.0, 0.78, 0.36)
  ring(1, time, 0.38, COATED, 0.0, 0.72, 0.05, 0.06)
  ring(2, time, 0.46, METAL, 0.22, 0.92, 0.93, 0.95)
  ring(3, time, 0.4, GLASS, 0, 0.45, 0.93, 0.72)
  ring(4, time, 0.43, COATED, 0.0, 0.03, 0.16, 0.62)
  ring(5, time, 0.37, METAL, 0.08, 0.95, 0.55, 0.4)
  ring(6, time, 0.42, COATED, 0.0, 0.86, 0.84, 0.78)
  light(0, time, 26.0, 11.0, 3.4)
  light(1, time, 3.6, 15.0, 24.0)
  light(2, time, 22.0, 4.6, 17.0)
}

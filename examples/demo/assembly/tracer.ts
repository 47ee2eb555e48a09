// A path tracer that renders one frame of a short, endless animation:
//
//   tracer --frame N --frames TOTAL [--width W] [--height H] [--samples S]
//
// writes /out/frame-NNNN.png and tells its progress on stdout.
import { Film } from "./film"
import {
  follow, pathBlue, pathGreen, pathRed, seenBlue, seenDistance, seenGreen, seenRed, seenX, seenY, seenZ,
} from "./path"
import { encodePng } from "./png"
import { seed, spread } from "./random"
import { aim } from "./ray"
import { arrange } from "./scene"
import { fail, print, programArguments, writeFile } from "./wasi"

const argv = programArguments()

function option(name: string, fallback: i32): i32 {
  for (let index = 1; index + 1 < argv.length; index += 2) {
    if (argv[index] == "--" + name) return <i32>I32.parseInt(argv[index + 1])
  }
  if (fallback < 0) fail("--" + name + " is missing")
  return fallback
}

const frame = option("frame", -1)
const frames = option("frames", -1)
const width = option("width", 320)
const height = option("height", 180)
const samples = option("samples", 16)
if (frame < 1 || frames < 1 || width < 1 || height < 1 || samples < 1) fail("every number must be positive")

const TURN: f32 = 6.2831853
const time: f32 = <f32>((frame - 1) % frames) / <f32>frames
arrange(time)

// The camera sways a little and keeps the middle sharp.
const sway: f32 = 0.3 * Mathf.sin(TURN * time)
const eyeX: f32 = 8.3 * Mathf.sin(sway)
const eyeY: f32 = 1.72 + 0.22 * Mathf.cos(TURN * time)
const eyeZ: f32 = 8.3 * Mathf.cos(sway)
const targetY: f32 = 0.74
const FOCAL: f32 = 4.25
const LENS: f32 = 0.055

let backX = eyeX
let backY = eyeY - targetY
let backZ = eyeZ
const focus = sqrt<f32>(backX * backX + backY * backY + backZ * backZ)
backX /= focus
backY /= focus
backZ /= focus
const level = sqrt<f32>(backX * backX + backZ * backZ)
const rightX = backZ / level
const rightZ = -backX / level
const upX = backY * rightZ
const upY = backZ * rightX - backX * rightZ
const upZ = -backY * rightX

const film = new Film(width, height)
const aspect: f32 = <f32>width / <f32>height
let told = 0

for (let y = 0; y < height; y++) {
  for (let x = 0; x < width; x++) {
    const pixel = y * width + x
    for (let sample = 0; sample < samples; sample++) {
      seed(pixel, sample, frame)
      const u: f32 = ((2.0 * (<f32>x + spread(pixel, sample, 0))) / <f32>width - 1.0) * aspect
      const v: f32 = 1.0 - (2.0 * (<f32>y + spread(pixel, sample, 1))) / <f32>height
      const radius = LENS * sqrt<f32>(spread(pixel, sample, 2))
      const turn = TURN * spread(pixel, sample, 3)
      const lensX: f32 = radius * Mathf.cos(turn)
      const lensY: f32 = radius * Mathf.sin(turn)
      const a: f32 = (u * focus) / FOCAL - lensX
      const b: f32 = (v * focus) / FOCAL - lensY
      aim(
        eyeX + lensX * rightX + lensY * upX,
        eyeY + lensY * upY,
        eyeZ + lensX * rightZ + lensY * upZ,
        a * rightX + b * upX - focus * backX,
        b * upY - focus * backY,
        a * rightZ + b * upZ - focus * backZ,
      )
      follow(pixel, sample)
      film.add(pixel, pathRed, pathGreen, pathBlue, seenX, seenY, seenZ, seenDistance, seenRed, seenGreen, seenBlue)
    }
  }
  const percent = (100 * (y + 1)) / height
  if (percent >= told + 25) {
    told = percent - (percent % 25)
    print("frame " + frame.toString() + ": " + percent.toString() + " %")
  }
}

film.settle(samples)
film.denoise(3)
film.colour()
film.glow()
const png = encodePng(film.develop(1.05), width, height)
writeFile("/out", "frame-" + frame.toString().padStart(4, "0") + ".png", png.from, png.length)

"""A small animation, built by script so that nothing but this file has to travel.

    blender -b --factory-startup -P scene.py -- --frame 7 --frames 24 --out /out/

--frame takes one frame or a range such as 1-24; --frames is the length of the whole loop.
Equal arguments give equal pixels on equal machines: fixed seed, fixed samples, flat faces, no
denoiser, no adaptive sampling.
"""

import argparse
import math
import os
import sys

import bpy
from mathutils import Vector

PALETTE = ["#f2545b", "#f7b32b", "#2ec4b6", "#4d7ea8", "#a167a5", "#8ac926"]


def arguments():
    own = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    parser = argparse.ArgumentParser(prog="scene.py")
    parser.add_argument("--frame", required=True, help="one frame or a range: 7, 1-24")
    parser.add_argument("--frames", type=int, required=True, help="frames of the whole loop")
    parser.add_argument("--out", required=True, help="directory for frame_0001.png, …")
    parser.add_argument("--width", type=int, default=240)
    parser.add_argument("--height", type=int, default=136)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(own)


def linear(hex_colour):
    channels = [int(hex_colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels] + [1]


def material(name, colour, roughness=0.4, metallic=0.0):
    made = bpy.data.materials.new(name)
    made.use_nodes = True
    shader = made.node_tree.nodes["Principled BSDF"]
    shader.inputs["Base Color"].default_value = linear(colour)
    shader.inputs["Roughness"].default_value = roughness
    shader.inputs["Metallic"].default_value = metallic
    return made


def shaded(thing, with_material):
    # Flat faces, and many of them: Blender adds up the normals of smooth ones in whatever order its
    # threads come by, which changes a pixel here and there from run to run.
    thing.data.materials.append(with_material)
    return thing


def build():
    """Returns what moves: the figure in the middle and the balls around it."""
    bpy.ops.wm.read_factory_settings(use_empty=True)

    bpy.ops.mesh.primitive_plane_add(size=60)
    shaded(bpy.context.object, material("floor", "#2b3a67", roughness=0.25))

    bpy.ops.mesh.primitive_monkey_add(size=2.1, location=(0, 0, 1.15))
    figure = shaded(bpy.context.object, material("figure", "#e9c46a", roughness=0.35))
    smooth = figure.modifiers.new("smooth", "SUBSURF")
    smooth.levels = smooth.render_levels = 3

    balls = []
    for index, colour in enumerate(PALETTE):
        bpy.ops.mesh.primitive_uv_sphere_add(segments=96, ring_count=48, radius=0.38)
        balls.append(shaded(bpy.context.object, material(f"ball{index}", colour, 0.3)))

    bpy.ops.object.light_add(type="SUN", location=(3, -4, 5))
    key = bpy.context.object
    key.data.energy, key.data.angle = 3.6, 0.06
    key.data.color = (1.0, 0.9, 0.78)
    look_at(key, Vector((0, 0, 0.9)))

    world = bpy.data.worlds.new("sky")
    world.use_nodes = True
    sky = world.node_tree.nodes["Background"]
    sky.inputs["Color"].default_value = (0.55, 0.66, 0.9, 1)
    sky.inputs["Strength"].default_value = 0.6
    bpy.context.scene.world = world

    bpy.ops.object.camera_add(location=(0, -7.4, 3.3))
    camera = bpy.context.object
    camera.data.lens = 44
    look_at(camera, Vector((0, 0, 0.95)))
    bpy.context.scene.camera = camera
    return figure, balls


def look_at(thing, target):
    thing.rotation_euler = (target - thing.location).to_track_quat("-Z", "Y").to_euler()


def pose(figure, balls, phase):
    """Places everything for a phase of 0 up to 1; the loop closes at 1."""
    turn = 2 * math.pi * phase
    figure.rotation_euler = (-0.25, 0, 0.7 * math.sin(turn))
    for index, ball in enumerate(balls):
        angle = turn + 2 * math.pi * index / len(balls)
        bounce = abs(math.sin(2 * turn + index * math.pi / 3))
        ball.location = (2.3 * math.cos(angle), 2.3 * math.sin(angle), 0.38 + 0.9 * bounce)


def settings(options):
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.device = "CPU"
    scene.cycles.samples = options.samples
    scene.cycles.seed = 7
    scene.cycles.use_animated_seed = False
    scene.cycles.use_adaptive_sampling = False
    scene.cycles.use_denoising = False
    scene.cycles.max_bounces = 3
    scene.cycles.sample_clamp_indirect = 1.5
    scene.cycles.caustics_reflective = scene.cycles.caustics_refractive = False
    scene.render.threads_mode = "FIXED"
    scene.render.threads = options.threads
    scene.render.resolution_x = options.width
    scene.render.resolution_y = options.height
    scene.render.resolution_percentage = 100
    scene.render.use_persistent_data = False
    scene.render.image_settings.file_format = "PNG"
    scene.render.image_settings.color_mode = "RGB"
    scene.view_settings.view_transform = "Filmic"
    scene.view_settings.look = "Medium High Contrast"
    for stamp in ("date", "time", "render_time", "frame", "memory", "hostname", "filename"):
        setattr(scene.render, f"use_stamp_{stamp}", False)
    return scene


def main():
    options = arguments()
    first, _, last = options.frame.partition("-")
    figure, balls = build()
    scene = settings(options)
    for frame in range(int(first), int(last or first) + 1):
        pose(figure, balls, (frame - 1) / options.frames)
        scene.render.filepath = os.path.join(options.out, f"frame_{frame:04d}.png")
        bpy.ops.render.render(write_still=True)


# Blender answers an exception in a script with exit code 0 unless told otherwise.
try:
    main()
except BaseException as error:
    print(f"scene.py: {error!r}", file=sys.stderr)
    sys.exit(error.code if isinstance(error, SystemExit) and error.code else 1)

#!/usr/bin/env python3
"""Write an RGB-D folder whose depth is a teacher's guess: fresh crops and mixtures of pictures, and FastDepth's depth of each.

  scripts/make_teacher_depth.py TEACHER.npz OUT_DIR --n 8000 --pictures 'DIR/*.jpg' [--leave-out IDS.txt] [--pictures ...]

TEACHER.npz holds FastDepth's layers (Wofk et al. 2019) as `lNN.w` (out, kh, kw, in), depthwise (1, kh, kw, channels), and
`lNN.b`, with its normalisation folded in. The folder is for `rgbd: {relative: true}` of `cooper train`: the teacher's metres are
right up to a scale and a shift at best. Needs numpy, pillow, onnx and onnxruntime from PyPI; nothing of the product does.
"""

import argparse
import glob
import pathlib
import random

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageEnhance

SIDE = 224
SIZE = (256, 192)
N_LAYERS = 38
# Depthwise layers that halve the picture, by number; layer 0 does it too.
STRIDED = {0, 3, 7, 11, 23}
# Behind these layers the picture doubles, and what the encoder's layer on the right gave is added.
DOUBLED = {28: None, 30: 10, 32: 6, 34: 2, 36: None}


def teacher(path: str) -> onnxruntime.InferenceSession:
    """The network as an ONNX graph: (1, 3, 224, 224) in [0, 1] -> (1, 1, 224, 224) metres."""
    weights = np.load(path)
    nodes, constants, now = [], [], "x"
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    for i in range(N_LAYERS):
        w = weights[f"l{i:02}.w"].astype(np.float32)
        is_depthwise = i % 2 == 1 and w.shape[0] == 1 and i < N_LAYERS - 1
        w = w.transpose(3, 0, 1, 2) if is_depthwise else w.transpose(0, 3, 1, 2)
        constants += [
            numpy_helper.from_array(np.ascontiguousarray(w), f"w{i}"),
            numpy_helper.from_array(weights[f"l{i:02}.b"].astype(np.float32).reshape(-1), f"b{i}"),
        ]
        half = w.shape[2] // 2
        stride = 2 if i in STRIDED else 1
        nodes += [
            helper.make_node(
                "Conv",
                [now, f"w{i}", f"b{i}"],
                [f"c{i}"],
                kernel_shape=list(w.shape[2:]),
                pads=[half] * 4,
                strides=[stride] * 2,
                group=w.shape[0] if is_depthwise else 1,
            ),
            helper.make_node("Relu", [f"c{i}"], [f"r{i}"]),
        ]
        now = f"r{i}"
        if i in DOUBLED:
            nodes.append(
                helper.make_node("Resize", [now, "", "scales"], [f"u{i}"], mode="nearest",
                                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")
            )
            now = f"u{i}"
            if (skip := DOUBLED[i]) is not None:
                nodes.append(helper.make_node("Add", [now, f"r{skip}"], [f"s{i}"]))
                now = f"s{i}"
    graph = helper.make_graph(
        nodes,
        "fastdepth",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(now, TensorProto.FLOAT, [1, 1, SIDE, SIDE])],
        [*constants, scales],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def guess(session: onnxruntime.InferenceSession, picture: Image.Image) -> Image.Image:
    """The teacher's depth of the whole picture, millimetres."""
    pixels = np.asarray(picture.resize((SIDE, SIDE), Image.BILINEAR), np.float32) / 255
    metres = session.run(None, {"x": pixels.transpose(2, 0, 1)[None]})[0][0, 0]
    metres = np.asarray(Image.fromarray(metres).resize(picture.size, Image.BILINEAR))
    return Image.fromarray(np.clip(metres * 1000, 1, 65535).astype(np.uint16))


def crop(picture: Image.Image, rng: random.Random) -> Image.Image:
    """A window of the picture's sides from a half to all, of another shape and perhaps mirrored."""
    width, height = picture.size
    share, stretch = rng.uniform(0.5, 1), rng.uniform(0.85, 1.18)
    w, h = min(1, share * stretch) * width, min(1, share / stretch) * height
    x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
    new = picture.resize(SIZE, Image.BILINEAR, (x, y, x + w, y + h))
    return new.transpose(Image.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else new


def vary(pictures: list[str], rng: random.Random) -> Image.Image:
    """A crop, every fourth time with another one shining through, in other colours."""
    one = crop(Image.open(rng.choice(pictures)).convert("RGB"), rng)
    if rng.random() < 0.25:
        other = crop(Image.open(rng.choice(pictures)).convert("RGB"), rng)
        one = Image.blend(one, other, rng.uniform(0.15, 0.45))
    for enhance, spread in ((ImageEnhance.Brightness, 0.3), (ImageEnhance.Contrast, 0.25), (ImageEnhance.Color, 0.4)):
        one = enhance(one).enhance(rng.uniform(1 - spread, 1 + spread))
    return one


def main() -> None:
    """Read the command line and write the folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teacher")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--n", type=int, default=8000, help="pictures to write")
    parser.add_argument("--pictures", action="append", required=True, help="a pattern of files; each is as likely as the others")
    parser.add_argument("--leave-out", type=pathlib.Path, help="names without ending, one on a line, that are never read")
    parser.add_argument("--seed", type=int, default=4396)
    arguments = parser.parse_args()
    left_out = set(arguments.leave_out.read_text().split()) if arguments.leave_out else set()
    groups = [[p for p in sorted(glob.glob(pattern)) if pathlib.Path(p).stem not in left_out] for pattern in arguments.pictures]
    for pattern, group in zip(arguments.pictures, groups, strict=True):
        if not group:
            parser.error(f"--pictures: expected files of {pattern}, got none")
    session = teacher(arguments.teacher)
    arguments.out.mkdir(parents=True)
    rng = random.Random(arguments.seed)
    for i in range(arguments.n):
        picture = vary(rng.choice(groups), rng)
        picture.save(arguments.out / f"{i:05}.jpg", quality=92)
        guess(session, picture).save(arguments.out / f"{i:05}_depth.png")
    print(f"{arguments.n} pictures of {[len(group) for group in groups]} in {arguments.out}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The client of scripts/demo: asks the node one question, waits for its maps, saves everything and prints a summary."""

import argparse
import json
import pathlib
import re
import shutil
import sys
import time

import numpy
import rclpy
from PIL import Image as Picture
from cooper_client import Client, until
from cooper_perception.action import Reason
from cooper_perception.srv import GetStatus
from sensor_msgs.msg import Image

MAPS = {
    "depth_relative/image": "depth_relative.png",
    "depth/color": "depth_color.png",
    "segmentation/color": "segmentation.png",
    "segmentation/labels": "labels.png",
    "overlay": "overlay.png",
}
# What each saved file is.
FILES = {
    "depth_relative.png": "relative depth, 16-bit grey: 0 near, 65535 far",
    "depth_color.png": "relative depth in colours: red near, violet far",
    "segmentation.png": "regions in the model's colours",
    "labels.png": "region ids from 0 as grey values, so it looks black; the highest grey where there is no region",
    "overlay.png": "regions laid over the picture",
    "answer.json": "question, answer, thoughts, seeds, timings",
}
STAGES = ["waiting", "reading the picture and the question", "thinking", "drawing depth", "drawing segmentation", "answering"]
STATUSES = ["ANSWERED", "NO_ANSWER", "TRUNCATED", "CANCELED", "DEADLINE", "FAILED"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", required=True)
    parser.add_argument("--question", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--node-log", type=pathlib.Path, required=True)
    parser.add_argument("--truth", type=pathlib.Path, help="what `cooper scenes` wrote for this picture alone")
    parser.add_argument("--strange", action="store_true", help="say that the model was not trained on such pictures")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for the whole run")
    return parser.parse_args()


def pixels(message):
    """A sensor_msgs/Image as an array."""
    kind, channels = {"32FC1": ("<f4", 1), "rgb8": ("u1", 3), "mono8": ("u1", 1), "mono16": ("<u2", 1)}[message.encoding]
    array = numpy.frombuffer(message.data, dtype=kind)
    shape = (message.height, message.width) + ((3,) if channels == 3 else ())
    return array.reshape(shape)


def description(file):
    """What a saved file is."""
    if file.startswith("evidence_"):
        kind = pathlib.Path(file).stem.split("_")[2]
        return f"{kind} that the model drew for its answer, and looked at"
    return FILES.get(file, "the picture")


def count(n, what):
    return f"{n} {what}" + ("" if n == 1 else "s")


def save(message, file):
    """Depth as 16-bit PNG (0 near, 65535 far), labels and colours as they are."""
    array = pixels(message)
    if message.encoding == "32FC1":
        array = (numpy.nan_to_num(array, nan=1.0) * 65535).astype("u2")
    Picture.fromarray(array).save(file)


class Demo:
    def __init__(self, args, client):
        self.args = args
        self.client = client
        self.deadline = time.monotonic() + args.timeout
        self.size = Picture.open(args.picture).size
        self.maps = {}
        self.stage = None

    def wait(self, done, what):
        """Wait for a true value and return it; the demo ends at its deadline."""
        return until(done, self.deadline - time.monotonic(), f"no {what}")

    def status(self):
        return self.client.call(GetStatus, "/cooper/get_status", GetStatus.Request())

    def wait_until_ready(self):
        state = None

        def is_ready():
            nonlocal state
            status = self.status()
            if status.state != state:
                state = status.state
                print(f"demo: the model is {state}", flush=True)
            if state == "failed":
                sys.exit(f"demo: {status.message}")
            sizes = [(camera.width, camera.height) for camera in status.cameras]
            return state == "ready" and self.size in sizes and status

        status = self.wait(is_ready, "node that is ready")
        camera = status.cameras[0]
        print(f"demo: {status.device}, weights of {status.memory_bytes / 1e6:.0f} MB in memory ({status.dtype}); "
              f"camera {camera.width}x{camera.height} {camera.encoding}")

    def watch_maps(self):
        for topic in MAPS:
            keep = lambda message, topic=topic: self.maps.setdefault(topic, message)
            self.client.node.create_subscription(Image, f"/cooper/camera/{topic}", keep, 1)

    def on_feedback(self, message):
        feedback = message.feedback
        if feedback.stage != self.stage:
            self.stage = feedback.stage
            print(f"demo:   {STAGES[feedback.stage]}" + (f" (turn {feedback.turn})" if feedback.turn else ""), flush=True)

    def ask(self):
        reason = self.client.reason
        self.wait(reason.server_is_ready, "action server")
        print(f"demo: asking: {self.args.question}", flush=True)
        goal = Reason.Goal(question=self.args.question, camera="camera", mode=Reason.Goal.INTERLEAVED, seed=-1)
        sent = reason.send_goal_async(goal, feedback_callback=self.on_feedback)
        self.wait(sent.done, "reply to the goal")
        if not sent.result().accepted:
            sys.exit("demo: the goal was rejected")
        result = sent.result().get_result_async()
        self.wait(result.done, "answer")
        return result.result().result


def main():
    args = arguments()
    rclpy.init()
    client = Client("cooper_demo")
    try:
        run(args, Demo(args, client))
    except AssertionError as error:  # of `until`
        sys.exit(f"demo: {error}; see {args.node_log}")
    finally:
        client.close()
        rclpy.shutdown()


def run(args, demo):
    begin = time.monotonic()
    demo.wait_until_ready()
    result = demo.ask()
    answered = time.monotonic() - begin
    print("demo: waiting for the maps on their topics", flush=True)
    demo.watch_maps()
    demo.wait(lambda: len(demo.maps) == len(MAPS), "maps")
    report(args, result, demo.maps, answered)


def report(args, result, maps, answered):
    shutil.copy(args.picture, args.out / ("input" + pathlib.Path(args.picture).suffix))
    for topic, message in maps.items():
        save(message, args.out / MAPS[topic])
    evidence = []
    for i, item in enumerate(result.evidence):
        kind = ["depth", "segmentation"][item.kind]
        file = f"evidence_{i}_{kind}.png"
        save(item.image, args.out / file)
        evidence.append({"kind": kind, "turn": item.turn, "seed": item.seed, "steps": item.steps, "file": file})
    timings = {name: getattr(result.timings, name) for name in result.timings.get_fields_and_field_types()}
    timings = {name: value if isinstance(value, float) else list(value) for name, value in timings.items()}
    stamp = result.header.stamp
    answer = {
        "question": args.question,
        "status": STATUSES[result.status],
        "answer": result.answer,
        "turns": list(result.turns),
        "evidence": evidence,
        "picture": {"file": str(args.picture), "stamp": stamp.sec + stamp.nanosec * 1e-9, "frame_id": result.header.frame_id},
        "model": args.model,
        "error": result.error_msg,
        "timings": timings,
    }
    answer["truth"] = truth(args, maps) if args.truth else None
    (args.out / "answer.json").write_text(json.dumps(answer, indent=2, ensure_ascii=False) + "\n")
    summarize(args, answer, answered)


def truth(args, maps):
    """The true answer, and the error of the drawn depth after the best scale and shift."""
    rows = [json.loads(line) for line in (args.truth / "qa.jsonl").read_text().splitlines()]
    right = next((row for row in rows if row["question"].split(" (A) ")[0] == args.question), None)
    # With choices, the answer is a letter.
    answer = right and (right["choices"]["ABCD".index(right["answer"])] if right["choices"] else right["answer"])
    file = json.loads((args.truth / "depth.jsonl").read_text())["depth_image"]
    metres = numpy.asarray(Picture.open(args.truth / file), dtype=float).ravel() / 1000
    drawn = pixels(maps["depth_relative/image"]).astype(float).ravel()
    design = numpy.stack([drawn, numpy.ones_like(drawn)], axis=1)
    fitted = design @ numpy.linalg.lstsq(design, metres, rcond=None)[0]
    error = numpy.abs(fitted - metres) / metres
    flat = numpy.abs(numpy.median(metres) - metres) / metres
    return {
        "answer": answer,
        "value": right and right["value"],
        "unit": right and right["unit"],
        "depth_abs_rel": float(error.mean()),
        "depth_abs_rel_of_a_constant": float(flat.mean()),
    }


def verdict(answer, known):
    """Whether an answer counts as right, as `cooper eval qa` counts: lengths within 25 %, all else exactly."""
    words = [text.strip().lower().removeprefix("the ") for text in (answer, known["answer"])]
    is_right = words[0] == words[1]
    number = re.match(r"[\d.]*\d", words[0])
    if not number or not known["unit"]:
        return "counted as right" if is_right else "counted as wrong"
    error = abs(float(number[0]) - known["value"]) / known["value"]
    return "within 25 %: counted as right" if error <= 0.25 else f"off by {100 * error:.0f} %: counted as wrong"


def summarize(args, answer, answered):
    width, height = Picture.open(args.picture).size
    kind = "picture of a synthetic room" if args.truth else "picture"
    print(f"""
What happened
  A {width}x{height} {kind} was published as a camera topic (/camera/image_raw).
  cooper_node read it, drew its depth and its segmentation and was asked: {args.question}
  Status: {answer['status']}; answer: {answer['answer']!r} ({count(len(answer['evidence']), 'map')} looked at, {answered:.1f} s from start to answer)""")
    for turn in answer["turns"]:
        print("  It wrote: " + turn.replace("\n", " "))
    if answer["turns"]:
        print("""  (37 65 is a place: 37 % of the width from the left, 65 % of the height from the top.
  Thoughts are the model's estimates, and their sums need not add up; only the answer is judged.)""")
    if known := answer["truth"]:
        judged = f" ({verdict(answer['answer'], known)})" if known["answer"] else ""
        print(f"""  The right answer: {known['answer']!r}{judged}.
  Depth is off by {100 * known['depth_abs_rel']:.0f} % on average after the best scale and shift
  (guessing one constant distance would be off by {100 * known['depth_abs_rel_of_a_constant']:.0f} %).""")
    print(f"""  The maps came on /cooper/camera/{{{','.join(MAPS)}}} with the picture's stamp and size.
Where to look
  {args.out}/""")
    for file in sorted(args.out.iterdir()):
        if file.suffix != ".log":
            print(f"    {file.name:<26} {description(file.name)}")
    if args.strange:
        print("""
Please note
  The shipped cooper-nano is 24 MB and has seen nothing but synthetic rooms with coloured boxes, balls, cans and cones.
  On a real photograph its maps are rough and its words mean little; models/cooper-nano/README.md has the figures.
  For the released model: COOPER_MODEL=/path/to/model_directory scripts/demo PICTURE""")


if __name__ == "__main__":
    main()

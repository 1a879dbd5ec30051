#!/usr/bin/env python3
"""Measure how cost grows with the work, and draw it. Needs matplotlib, and the environment of scripts/env.sh.

plot_growth.py MODEL_DIR OUT.svg [ARGUMENT_OF_COOPER_BENCH...]

Tokens in the context, latents and steps are measured by `cooper bench` on MODEL_DIR; cameras on the installed node with
cooper-nano: a frame of each camera at the same moment, until the last one's map is there. A line is the expected order,
fitted to the points.
"""

import array
import itertools
import json
import pathlib
import statistics
import subprocess
import sys
import time

import matplotlib
import numpy
import rclpy
from sensor_msgs.msg import Image

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ROOT = pathlib.Path(__file__).resolve().parent.parent
BINARIES = ROOT / "install/lib/cooper_perception"
ROUNDS = 5


def bench(model, arguments, only, amounts):
    """What `cooper bench` finds for each amount, and the median seconds of each item.

    Each round goes through all amounts: a spell in which the machine is slow touches them alike.
    """
    rounds = [[run_once(model, [*arguments, "--only", only], amount) for amount in amounts] for _ in range(ROUNDS)]
    for runs in zip(*rounds):
        rows = [{row["item"]: row["seconds"]["median"] for row in found["items"]} for found in runs]
        yield runs[0], {item: statistics.median(row[item] for row in rows) for item in only.split(",")}


def run_once(model, arguments, amount):
    flags = [text for name, value in amount.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    command = [BINARIES / "cooper", "bench", model, "--json", "--repeats", "1", *arguments, *flags]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def contexts(model, arguments):
    """(tokens of the question, seconds to read it), (tokens in the context, seconds for one more)."""
    amounts = [{"questions": n, "tokens": 16} for n in (1, 25, 50, 100)]
    read, written = [], []
    for amount, (found, seconds) in zip(amounts, bench(model, arguments, "text_prefill,decode", amounts)):
        asked = 10 * amount["questions"] + 2
        read.append((asked, seconds["text_prefill"]))
        written.append((found["picture_tokens"] + asked + 8, seconds["decode"]))
    return read, written


def latents(model, arguments):
    """(latent tokens, seconds) of a guided flow step and of decoding a map."""
    amounts = [{"picture": f"{side}x{side}"} for side in (256, 320, 384, 448)]
    results = list(bench(model, arguments, "flow_step_3,vae_decode", amounts))
    step = [(found["latent_tokens"], seconds["flow_step_3"]) for found, seconds in results]
    decode = [(found["latent_tokens"], seconds["vae_decode"]) for found, seconds in results]
    return step, decode


def steps(model, arguments):
    """(steps, seconds of a depth map)."""
    amounts = [{"picture": "256x256", "time_points": points} for points in (2, 4, 8, 12)]
    results = bench(model, arguments, "depth_map", amounts)
    return [(amount["time_points"] - 1, seconds["depth_map"]) for amount, (_, seconds) in zip(amounts, results)]


class Cameras:
    """The node with so many cameras, and a client that is all of them."""

    def __init__(self, n):
        names = [f"camera{i}" for i in range(n)]
        parameters = ["-p", f"cameras:=[{','.join(names)}]", "-p", "continuous.rate:=100.0"]
        self.process = subprocess.Popen([BINARIES / "cooper_node", "--ros-args", *parameters],
                                        stderr=subprocess.DEVNULL)
        self.node = rclpy.create_node("growth")
        self.publishers = [self.node.create_publisher(Image, f"/{name}/image_raw", 1) for name in names]
        self.arrived = set()
        for name in names:
            keep = lambda image, name=name: self.arrived.add((name, image.header.stamp.sec))
            self.node.create_subscription(Image, f"/cooper/{name}/depth_relative/image", keep, 1)
        pixels = numpy.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype="u1")
        self.frame = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", pixels.tobytes()))

    def spin_until(self, done):
        end = time.monotonic() + 120
        while not done():
            rclpy.spin_once(self.node, timeout_sec=0.02)
            if time.monotonic() > end:
                raise SystemExit("plot_growth: expected a map of each camera within 120 s, got none")

    def round(self, number):
        """Seconds until the maps of all cameras are there."""
        self.frame.header.stamp.sec = number
        begin = time.perf_counter()
        for publisher in self.publishers:
            publisher.publish(self.frame)
        self.spin_until(lambda: sum(stamp == number for _, stamp in self.arrived) == len(self.publishers))
        return time.perf_counter() - begin

    def measure(self):
        self.spin_until(lambda: all(p.get_subscription_count() > 0 for p in self.publishers))
        time.sleep(2)
        return statistics.median([self.round(number) for number in range(1, ROUNDS + 2)][1:])

    def close(self):
        self.process.terminate()
        self.process.wait(10)
        self.node.destroy_node()


def cameras():
    """(cameras, seconds until all have their map)."""
    rclpy.init()
    found = []
    for n in (1, 2, 4, 8):
        many = Cameras(n)
        try:
            found.append((n, many.measure()))
        finally:
            many.close()
    return found


def fit(columns, values):
    """Least squares with no factor below 0: no part of the work costs less than nothing."""
    best = (numpy.inf, None)
    for used in itertools.product((False, True), repeat=columns.shape[1]):
        factors = numpy.zeros(len(used))
        factors[list(used)] = numpy.linalg.lstsq(columns[:, list(used)], values, rcond=None)[0]
        error = numpy.linalg.norm(columns @ factors - values)
        if (factors >= 0).all() and error < best[0]:
            best = (error, factors)
    return best[1]


def panel(axes, title, unit, order, points):
    """Points and a fit of powers of n, such as (0, 1) for a + b·n."""
    n, seconds = numpy.array(points).T
    milliseconds = 1e3 * seconds
    powers = numpy.array([numpy.power(n, power) for power in order])
    weights = 1 / milliseconds  # the relative error counts
    factors = fit((powers * weights).T, milliseconds * weights)
    along = numpy.linspace(min(n) / 2, max(n), 100)
    axes.plot(along, sum(a * along**power for a, power in zip(factors, order)), color="tab:blue", linewidth=1)
    axes.plot(n, milliseconds, "o", color="tab:orange")
    terms = {0: "a", 1: "b·n", 2: "c·n²"}
    axes.set_title(f"{title}\nexpected {' + '.join(terms[power] for power in order)}", fontsize=9)
    axes.set_xlabel(unit, fontsize=8)
    axes.set_ylabel("ms", fontsize=8)
    axes.set_ylim(bottom=0)
    axes.tick_params(labelsize=8)
    print(title, [(int(n), round(float(ms), 1)) for n, ms in zip(n, milliseconds)], flush=True)


def main(model, out, *arguments):
    figure, axes = plt.subplots(2, 3, figsize=(10, 5.5), layout="constrained")
    axes = axes.flat
    read, written = contexts(model, arguments)
    panel(axes[0], "reading a text", "tokens", (1, 2), read)
    panel(axes[1], "writing a token", "tokens in the context", (0, 1), written)
    step, decode = latents(model, arguments)
    panel(axes[2], "flow step, three branches", "latent tokens", (1, 2), step)
    panel(axes[3], "decoding a map", "latent tokens", (0, 1), decode)
    panel(axes[4], "depth map of a new picture, 256x256", "flow steps", (0, 1), steps(model, arguments))
    panel(axes[5], "a map of each camera, cooper-nano", "cameras", (0, 1), cameras())
    figure.savefig(out)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        raise SystemExit(__doc__)
    main(*sys.argv[1:])

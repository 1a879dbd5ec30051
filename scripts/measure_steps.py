#!/usr/bin/env python3
"""Measure depth maps of the shipped model against their cost, over time points and thresholds of the step cache.

measure_steps.py OUT.jsonl [--scenes N]    measure, a line a setting (20 minutes of one core); needs target/release/cooper
measure_steps.py OUT.jsonl --plot OUT.png  draw the lines; needs matplotlib (`pip install matplotlib`)

Processor time is that of a run with N scenes less that of a run with one, over N - 1: loading does not count.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

COOPER = Path(__file__).resolve().parents[1] / "target" / "release" / "cooper"
EXACT_POINTS = [2, 3, 4, 5, 7, 10, 20, 50]
CACHED_POINTS = [10, 20, 50]
THRESHOLDS = [0.02, 0.05, 0.1, 0.2, 0.5]
# The shipped model is drawn without guidance; this one shows that the cache keeps it.
GUIDED = ["--guidance-text", "2", "--guidance-image", "1.5"]


def settings():
    for points in EXACT_POINTS:
        yield points, 0.0, False
    for points in CACHED_POINTS:
        for threshold in THRESHOLDS:
            yield points, threshold, False
    for points, threshold in [(50, 0.0), (50, 0.1), (10, 0.0), (10, 0.2)]:
        yield points, threshold, True


def processor_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def evaluate(n_scenes, points, threshold, guided):
    """The report of `cooper eval depth` and its processor seconds."""
    with tempfile.TemporaryDirectory() as folder:
        how = ["--time-points", str(points), "--cache-threshold", str(threshold)] + (GUIDED if guided else [])
        command = [COOPER, "eval", "depth", "--scenes", str(n_scenes), "--out", folder, "--cases", "0", *how]
        before = processor_seconds()
        one_thread = {**os.environ, "RAYON_NUM_THREADS": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=one_thread)
        return json.loads((Path(folder) / "report.json").read_text()), processor_seconds() - before


def measure(out, n_scenes):
    with open(out, "w") as lines:
        for points, threshold, guided in settings():
            report, seconds = evaluate(n_scenes, points, threshold, guided)
            _, loading = evaluate(1, points, threshold, guided)
            scores = report["results"]["model"]
            line = {
                "time_points": points,
                "cache_threshold": threshold,
                "guided": guided,
                "scenes": n_scenes,
                "evaluations_per_map": report["how"]["evaluations_per_map"],
                "processor_s_per_map": round((seconds - loading) / (n_scenes - 1), 4),
                **{name: [round(scores[name][at], 4) for at in ("mean", "low", "high")] for name in ("delta1", "abs_rel")},
            }
            print(json.dumps(line), file=lines, flush=True)
            print(json.dumps(line), file=sys.stderr)


def plot(source, out):
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    lines = [line for line in map(json.loads, Path(source).read_text().splitlines()) if not line["guided"]]
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4))
    panels = [("delta1", "depth δ1 after scale and shift"), ("abs_rel", "depth AbsRel after scale and shift")]
    for axis, (name, title) in zip(axes, panels):
        curves = [("all steps computed (number: time points)", [line for line in lines if line["cache_threshold"] == 0.0], "k", "o")]
        for color, points in zip(("C0", "C1", "C2"), CACHED_POINTS):
            cached = [line for line in lines if line["time_points"] == points]
            curves.append((f"{points} time points, step cache", cached, color, "."))
        for label, curve, color, marker in curves:
            curve = sorted(curve, key=lambda line: line["processor_s_per_map"])
            cost = [line["processor_s_per_map"] * 1e3 for line in curve]
            values = [line[name][0] for line in curve]
            axis.plot(cost, values, color=color, marker=marker, label=label, linewidth=1)
            for line, *at in zip(curve, cost, values):
                if color == "k":
                    axis.annotate(line["time_points"], at, textcoords="offset points", xytext=(7, 3), fontsize=7)
        axis.set_xscale("log")
        axis.set_xticks([100, 150, 200, 300, 500, 700], labels=["100", "150", "200", "300", "500", "700"])
        axis.minorticks_off()
        axis.set_xlabel("processor time of a map (ms)", fontsize=8)
        axis.set_title(f"{title}, {lines[0]['scenes']} test rooms", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", metavar="OUT.jsonl")
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--plot", metavar="OUT.png")
    arguments = parser.parse_args()
    if arguments.plot:
        plot(arguments.file, arguments.plot)
    else:
        measure(arguments.file, arguments.scenes)

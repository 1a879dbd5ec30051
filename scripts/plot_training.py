#!/usr/bin/env python3
"""Draw the curves of training runs from their logs. Needs matplotlib (`pip install matplotlib`).

plot_training.py OUT.png [--only KEY,KEY...] RUN_DIR_OR_LOG...

One row a run, one panel a number that the stage reports, or those of --only; where each step is its own sample, as in
GRPO, the mean of 15 steps lies over the steps.
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ALWAYS_THERE = {"step", "steps", "lr", "grad_norm", "samples_per_s", "tokens_per_s", "seconds", "loss"}
WINDOW = 15


def read(path):
    """The lines of a log by step; where a run was stopped and resumed, the later line holds."""
    path = Path(path)
    file = path / "train.jsonl" if path.is_dir() else path
    lines = {}
    for line in file.read_text().splitlines():
        values = json.loads(line)
        lines[values["step"]] = values
    name = path.name if path.is_dir() else path.stem
    return name, [lines[step] for step in sorted(lines)]


def panels_of(lines, only):
    found = {key for line in lines for key in line}
    return [key for key in only if key in found] or sorted(found - ALWAYS_THERE) or ["loss"]


def main(out, *runs):
    only = []
    if runs[0] == "--only":
        only, runs = runs[1].split(","), runs[2:]
    logs = [read(run) for run in runs]
    panels = [panels_of(lines, only) for _, lines in logs]
    columns = max(map(len, panels))
    figure, axes = plt.subplots(len(logs), columns, figsize=(3.4 * columns, 2.4 * len(logs)), squeeze=False)
    for row, ((name, lines), keys) in zip(axes, zip(logs, panels)):
        for axis in row[len(keys):]:
            axis.axis("off")
        for axis, key in zip(row, keys):
            points = [(line["step"], line[key]) for line in lines if key in line]
            smoothed = "reward" in lines[0] and len(points) > WINDOW
            axis.plot(*zip(*points), linewidth=1, alpha=0.35 if smoothed else 1)
            if smoothed:
                means = [sum(value for _, value in points[i : i + WINDOW]) / WINDOW for i in range(len(points) - WINDOW + 1)]
                axis.plot([step for step, _ in points[WINDOW // 2 :]][: len(means)], means, color="C0", linewidth=2)
            axis.set_title(f"{name}: {key}", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

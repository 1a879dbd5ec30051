#!/usr/bin/env python3
"""Draw the curves of training runs from their logs. Needs matplotlib (`pip install matplotlib`).

plot_training.py OUT.png RUN_DIR_OR_LOG...     one row a run, one panel a number that the stage reports
"""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

ALWAYS_THERE = {"step", "steps", "lr", "grad_norm", "samples_per_s", "tokens_per_s", "seconds", "loss"}


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


def main(out, *runs):
    logs = [read(run) for run in runs]
    panels = [sorted({key for line in lines for key in line} - ALWAYS_THERE) or ["loss"] for _, lines in logs]
    columns = max(map(len, panels))
    figure, axes = plt.subplots(len(logs), columns, figsize=(3.4 * columns, 2.4 * len(logs)), squeeze=False)
    for row, ((name, lines), keys) in zip(axes, zip(logs, panels)):
        for axis in row[len(keys):]:
            axis.axis("off")
        for axis, key in zip(row, keys):
            points = [(line["step"], line[key]) for line in lines if key in line]
            axis.plot(*zip(*points), linewidth=1)
            axis.set_title(f"{name}: {key}", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=90)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])

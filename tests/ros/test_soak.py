"""A short soak: the script runs, no reply is lost, and the node is idle after goals have expired. The long one is by hand."""

import subprocess
import sys

from cooper_process import ROOT


def test_a_short_soak(start):
    # Memory is not flat so soon after the start: `scripts/soak` looks at it for half an hour.
    options = ["--minutes", "0.2", "--every", "0.5", "--idle", "4", "--settle", "12", "--max-growth", "30"]
    done = subprocess.run([sys.executable, ROOT / "scripts" / "soak", *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    assert ", 0 lost" in done.stdout and "canceled" in done.stdout

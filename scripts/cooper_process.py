"""The installed node as a process, for the tests and the scripts: started with few steps and tokens, stopped by signals."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# A small model with random weights, for tests that need a model directory of their own.
MODEL = ROOT / "tests" / "fixtures" / "random-a" / "checkpoint"
# Where the package is installed: by scripts/setup, or by colcon.
PREFIX = Path(os.environ.get("COOPER_PREFIX", ROOT / "install"))
COMMAND_LINE = os.environ.get("COOPER", str(PREFIX / "lib" / "cooper_perception" / "cooper"))
EXECUTABLE = os.environ.get("COOPER_NODE", str(PREFIX / "lib" / "cooper_perception" / "cooper_node"))

# Few steps and tokens: most tests are not about what the model draws and says.
QUICK = {
    "flow.time_points": 4,
    "generation.max_new_tokens": 16,
    "reasoning.max_turns": 2,
    "continuous.rate": 20.0,
}
# The node's own defaults in their place.
DEFAULTS = {name: None for name in QUICK}


class NodeProcess:
    """A running node."""

    def __init__(self, log_path, parameters=None, arguments=()):
        self.log_path = Path(log_path)
        given = {**QUICK, **(parameters or {})}
        command = [EXECUTABLE, "--ros-args", *arguments]
        for name, value in given.items():
            if value is None:  # The node's own default.
                continue
            # JSON is YAML, which is what rcl reads.
            command += ["-p", f"{name}:={json.dumps(value)}"]
        with open(self.log_path, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, "NO_COLOR": "1"})

    def log(self):
        return self.log_path.read_text()

    def is_alive(self):
        return self.process.poll() is None

    def wait_for(self, words, timeout=30.0):
        """Wait until the log contains `words`."""
        end = time.monotonic() + timeout
        while words not in self.log():
            assert self.is_alive(), f"the node ended:\n{self.log()}"
            assert time.monotonic() < end, f"no {words!r} within {timeout} s:\n{self.log()}"
            time.sleep(0.05)

    def wait_for_end(self, timeout=30.0):
        """Wait until the process ends by itself; its exit code."""
        return self.process.wait(timeout)

    def stop(self, how=signal.SIGINT, timeout=15.0):
        """Send a signal; the exit code and the seconds until the end."""
        begun = time.monotonic()
        self.process.send_signal(how)
        return self.process.wait(timeout), time.monotonic() - begun

    def memory(self):
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self):
        """Processor time since the start."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def cpu_percent(self, seconds):
        """The share of a core that it uses in the next seconds."""
        before = self.cpu_seconds()
        time.sleep(seconds)
        return 100.0 * (self.cpu_seconds() - before) / seconds

    def stop_or_kill(self):
        """End it; it is killed only if the signal fails, since a killed node stays in the graph for a while."""
        if self.is_alive():
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

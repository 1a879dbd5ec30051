#!/usr/bin/env python3
"""Measure the installed node with the test model: memory and CPU when idle, and what ROS adds to a map.

Overhead = (a VGA frame is published -> its depth map has arrived) - (the model's own time, from /diagnostics).
Needs the environment of scripts/env.sh.
"""

import statistics
import tempfile
import time

import numpy
import rclpy
from cooper_client import SENSOR, Client, image, until
from cooper_process import DEFAULTS, MODEL, NodeProcess
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import Image

PARAMETERS = DEFAULTS | {"flow.time_points": 2, "model.dir": str(MODEL), "continuous.rate": 100.0}
N_FRAMES = 15
SETTLE, IDLE = 3.0, 10.0  # seconds


class Overhead:
    """Publishes frames and measures the time until their depth maps arrive."""

    def __init__(self, client):
        self.camera = client.node.create_publisher(Image, "/camera/image_raw", SENSOR)
        self.arrived = {}
        self.last_run = None
        client.node.create_subscription(Image, "/cooper/camera/depth_relative/image", self.on_map, 1)
        client.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)
        until(lambda: self.camera.get_subscription_count() > 0, message="the node does not subscribe to the camera")
        time.sleep(1)
        noise = numpy.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype="u1")
        self.frame = image(noise)

    def on_map(self, message):
        self.arrived.setdefault(message.header.stamp.sec, time.perf_counter())

    def on_diagnostics(self, message):
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.last_run = values.get("last_run_s") or self.last_run

    def measure(self, number):
        """Seconds from a frame to its map, and the model's own share."""
        self.frame.header.stamp.sec = number
        begin = time.perf_counter()
        self.camera.publish(self.frame)
        until(lambda: number in self.arrived, message="no map")
        total = self.arrived[number] - begin
        self.last_run = None
        until(lambda: self.last_run, message="no diagnostics")
        return total, float(self.last_run)


def measure(client, process):
    client.wait_until_ready()
    time.sleep(SETTLE)
    memory, busy = process.memory() / 2**20, process.cpu_percent(IDLE)
    overhead = Overhead(client)
    runs = [overhead.measure(number) for number in range(1, N_FRAMES + 1)]
    totals = [1e3 * total for total, _ in runs]
    overheads = [1e3 * (total - model) for total, model in runs]
    print(f"idle: {memory:.0f} MiB resident, {busy:.1f} % of a core")
    print(f"a VGA frame in -> its depth map out: median {statistics.median(totals):.1f} ms, "
          f"of which ROS {statistics.median(overheads):.1f} ms ({min(overheads):.1f} to {max(overheads):.1f})")


def main():
    rclpy.init()
    client = Client("measure_node")
    with tempfile.TemporaryDirectory() as folder:
        process = NodeProcess(f"{folder}/node.log", PARAMETERS)
        try:
            measure(client, process)
        finally:
            process.stop_or_kill()
            client.close()
            rclpy.shutdown()


if __name__ == "__main__":
    main()

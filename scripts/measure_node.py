#!/usr/bin/env python3
"""Measure the installed node with the test model: memory and CPU when idle, and what ROS adds to a map.

Overhead = (a VGA frame is published -> its depth map has arrived) - (the model's own time, from /diagnostics).
Needs the environment of scripts/env.sh.
"""

import array
import pathlib
import statistics
import subprocess
import time

import numpy
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from cooper_perception.srv import GetStatus

ROOT = pathlib.Path(__file__).resolve().parent.parent
N_FRAMES = 15


def resident_mib(pid):
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


class Client:
    def __init__(self):
        self.node = rclpy.create_node("measure")
        self.status = self.node.create_client(GetStatus, "/cooper/get_status")
        self.camera = self.node.create_publisher(Image, "/camera/image_raw", qos_profile_sensor_data)
        self.arrived = {}
        self.last_run = None

    def spin_until(self, done, timeout=30.0):
        end = time.monotonic() + timeout
        while not done():
            rclpy.spin_once(self.node, timeout_sec=0.05)
            if time.monotonic() > end:
                raise SystemExit("measure_node: nothing came within 30 s")

    def wait_until_ready(self):
        self.status.wait_for_service()
        while True:
            call = self.status.call_async(GetStatus.Request())
            self.spin_until(call.done)
            if call.result().state == "ready":
                return

    def listen(self):
        keep = lambda image: self.arrived.setdefault(image.header.stamp.sec, time.perf_counter())
        self.node.create_subscription(Image, "/cooper/camera/depth_relative/image", keep, 1)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self.on_diagnostics, 10)

    def on_diagnostics(self, message):
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            self.last_run = values.get("last_run_s") or self.last_run

    def overhead(self, frame, number):
        """Seconds from a frame to its map, and the model's own share."""
        frame.header.stamp.sec = number
        begin = time.perf_counter()
        self.camera.publish(frame)
        self.spin_until(lambda: number in self.arrived)
        total = self.arrived[number] - begin
        self.last_run = None
        self.spin_until(lambda: self.last_run)
        return total, float(self.last_run)


def main():
    command = [ROOT / "install/lib/cooper_perception/cooper_node", "--ros-args", "-p", "flow.time_points:=2",
               "-p", f"model.dir:={ROOT}/tests/fixtures/random-a/checkpoint", "-p", "continuous.rate:=100.0"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rclpy.init()
    try:
        client = Client()
        client.wait_until_ready()
        time.sleep(3)
        memory, busy = resident_mib(process.pid), cpu_seconds(process.pid)
        time.sleep(10)
        busy = (cpu_seconds(process.pid) - busy) / 10
        client.listen()
        pixels = numpy.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype="u1")
        frame = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", pixels.tobytes()))
        client.spin_until(lambda: client.camera.get_subscription_count() > 0)
        time.sleep(1)
        runs = [client.overhead(frame, number) for number in range(1, N_FRAMES + 1)]
        overheads = [1e3 * (total - model) for total, model in runs]
        print(f"idle: {memory:.0f} MiB resident, {100 * busy:.1f} % of a core")
        print(f"a VGA frame in -> its depth map out: median {1e3 * statistics.median(total for total, _ in runs):.1f} ms, "
              f"of which ROS {statistics.median(overheads):.1f} ms ({min(overheads):.1f} to {max(overheads):.1f})")
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()

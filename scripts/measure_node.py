#!/usr/bin/env python3
"""Measure the installed node with the test model: memory when idle, and what ROS adds to a map.

Overhead = (a VGA picture is published -> its depth map has arrived) - (the node's own time for the map). The pause
until the node looks for a new frame (continuous.rate) is not overhead, so the picture goes in by the service.
Needs the environment of scripts/env.sh.
"""

import array
import pathlib
import statistics
import subprocess
import time

import numpy
import rclpy
from sensor_msgs.msg import Image

from cooper_perception.action import Reason
from cooper_perception.srv import EstimateDepth, GetStatus
from rclpy.action import ActionClient

ROOT = pathlib.Path(__file__).resolve().parent.parent
N_RUNS = 15


def resident_mib(pid):
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def main():
    command = [ROOT / "install/lib/cooper_perception/cooper_node", "--ros-args",
               "-p", f"model.dir:={ROOT}/tests/fixtures/random-a/checkpoint", "-p", "flow.time_points:=2"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rclpy.init()
    node = rclpy.create_node("measure")

    def wait(future):
        rclpy.spin_until_future_complete(node, future, timeout_sec=60)
        return future.result()

    try:
        status = node.create_client(GetStatus, "/cooper/get_status")
        status.wait_for_service()
        while wait(status.call_async(GetStatus.Request())).state != "ready":
            time.sleep(0.1)
        time.sleep(5)
        idle, busy = resident_mib(process.pid), cpu_seconds(process.pid)
        time.sleep(10)
        busy = (cpu_seconds(process.pid) - busy) / 10
        pixels = numpy.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype="u1")
        picture = Image(height=480, width=640, encoding="rgb8", step=1920, data=array.array("B", pixels.tobytes()))
        ask = ActionClient(node, Reason, "/cooper/reason")
        ask.wait_for_server()
        overheads = []
        for _ in range(N_RUNS):
            # An answer tells the node's own time; the way of the picture is the same as for a map.
            goal = Reason.Goal(question="x", image=picture, mode=Reason.Goal.DIRECT, seed=0)
            begin = time.perf_counter()
            handle = wait(ask.send_goal_async(goal))
            result = wait(handle.get_result_async()).result
            overheads.append(time.perf_counter() - begin - result.timings.total_s)
        depth = node.create_client(EstimateDepth, "/cooper/estimate_depth")
        depth.wait_for_service()
        trips = []
        for _ in range(N_RUNS):
            begin = time.perf_counter()
            wait(depth.call_async(EstimateDepth.Request(image=picture, seed=0)))
            trips.append(time.perf_counter() - begin)
        print(f"memory, idle: {idle:.1f} MiB; CPU, idle: {100 * busy:.1f} % of a core")
        print(f"a question about a VGA picture, ROS only: median {1e3 * statistics.median(overheads):.1f} ms "
              f"({1e3 * min(overheads):.1f} to {1e3 * max(overheads):.1f})")
        print(f"a VGA depth map by service, with inference: median {1e3 * statistics.median(trips):.1f} ms")
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()

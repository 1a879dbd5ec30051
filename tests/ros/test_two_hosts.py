"""The node on one host, a camera and a client on another: two network namespaces of this machine with a cable between
them, each with shared memory of its own. Needs root and `ip`; docs/recipes.md's recipe for several hosts is what this does.
"""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
from cooper_process import EXECUTABLE, ROOT
from cooper_client import until

NEAR, FAR = "10.213.77.1", "10.213.77.2"
SERVER = shutil.which("fast-discovery-server")
TESTS = ROOT / "tests" / "ros"


class Hosts:
    """Two hosts named after this process, and what runs on them."""

    def __init__(self):
        self.names = {NEAR: f"cooper_near_{os.getpid()}", FAR: f"cooper_far_{os.getpid()}"}
        self.running = []

    def lay_cable(self):
        near, far = self.names[NEAR], self.names[FAR]
        for name in (near, far):
            ip("netns", "add", name)
        ip("link", "add", "cooper0", "netns", near, "type", "veth", "peer", "name", "cooper0", "netns", far)
        for address, name in self.names.items():
            ip("-n", name, "addr", "add", f"{address}/24", "dev", "cooper0")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", "cooper0", "up")
        # Fast DDS takes the interfaces that work when it starts.
        until(lambda: all(self.link(host)["operstate"] == "UP" for host in self.names), message="the cable is dead")

    def link(self, host):
        return json.loads(ip("-n", self.names[host], "-s", "-j", "link", "show", "cooper0"))[0]

    def without_multicast(self):
        for name in self.names.values():
            ip("-n", name, "link", "set", "cooper0", "multicast", "off")

    def run(self, host, command, **options):
        """Start a command on a host, where /dev/shm is not the other one's."""
        alone = ["ip", "netns", "exec", self.names[host], "unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /dev/shm && exec "$@"', "sh"]
        process = subprocess.Popen(alone + [str(word) for word in command], text=True, **options)
        self.running.append(process)
        return process

    def received(self):
        """Bytes that have come to the node's host."""
        return self.link(NEAR)["stats64"]["rx"]["bytes"]

    def close(self):
        for process in self.running:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for name in self.names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True)


def ip(*words):
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


@pytest.fixture
def hosts():
    made = Hosts()
    try:
        try:
            made.lay_cable()
            probe = made.run(NEAR, ["true"], stderr=subprocess.PIPE)
            _, said = probe.communicate(timeout=10)
            if probe.returncode:
                raise OSError(said.strip())
        except OSError as error:
            pytest.skip(f"this machine allows no network namespaces: {error}")
        yield made
    finally:
        made.close()


def environment(**changes):
    """As on a robot with several hosts: not our profile, which keeps to one machine."""
    kept = {name: value for name, value in os.environ.items() if name != "FASTRTPS_DEFAULT_PROFILES_FILE"}
    return kept | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET", "PYTHONPATH": f"{ROOT / 'scripts'}:{os.environ.get('PYTHONPATH', '')}"} | changes


def look_from_afar(hosts, tmp_path, patience, env):
    log = tmp_path / "node.log"
    parameters = {"cameras": '["raw", "packed"]', "cameras.packed.transport": "compressed", "flow.time_points": 3, "continuous.rate": 2.0}
    command = [EXECUTABLE, "--ros-args", *(word for name, value in parameters.items() for word in ("-p", f"{name}:={value}"))]
    with open(log, "w") as file:
        hosts.run(NEAR, command, env=env, stdout=file, stderr=subprocess.STDOUT)
    until(lambda: "ready" in log.read_text(), 60.0, "the node is not ready")
    before = hosts.received()
    client = hosts.run(FAR, [sys.executable, TESTS / "far_client.py", patience], env=env, stdout=subprocess.PIPE)
    told, _ = client.communicate(timeout=120)
    return json.loads(told), hosts.received() - before


@pytest.mark.parametrize("discovery", ["multicast", "multicast, the launch files' profile", "server"])
def test_a_camera_and_a_client_on_another_host(hosts, tmp_path, discovery):
    env = environment()
    if discovery != "multicast":
        env["FASTRTPS_DEFAULT_PROFILES_FILE"] = str(ROOT / "config" / "fastdds_subnet.xml")
    if discovery == "server":
        if SERVER is None:
            pytest.skip("there is no fast-discovery-server on the PATH")
        hosts.without_multicast()
        hosts.run(NEAR, [SERVER, "-i", "0", "-l", NEAR, "-p", "11811"], env=env, stdout=subprocess.DEVNULL)
        env["ROS_DISCOVERY_SERVER"] = f"{NEAR}:11811"
    told, received = look_from_afar(hosts, tmp_path, 30.0, env)
    print(f"{discovery}: heard {told.get('rates')} of 10 Hz, {received / 1e6:.1f} MB over the cable")
    assert told["seen"]
    assert told["map"] == [640, 480] and told["depth_is_of_our_frame"] and told["feedback"] > 0
    status, error, is_of_our_frame = told["goal"]
    assert (error, is_of_our_frame) == ("", True), told
    assert told["rates"]["packed"] > 8.0, "compressed pictures come through"
    assert received > 640 * 480 * 3 * 10, "they came over the cable"


def test_without_a_common_middleware_setting_the_hosts_are_apart(hosts, tmp_path):
    """env.sh keeps to one machine: nobody elsewhere sees the node."""
    env = environment(ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST", FASTRTPS_DEFAULT_PROFILES_FILE=str(ROOT / "config" / "fastdds.xml"))
    told, _ = look_from_afar(hosts, tmp_path, 5.0, env)
    assert told == {"seen": False}

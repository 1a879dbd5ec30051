"""The real node and an rclpy client, on a ROS domain of their own that does not leave this machine.

Needs the environment of scripts/env.sh and the installed node; COOPER_PREFIX names another install prefix, COOPER_NODE
another executable.
"""

import os
import random
import sys
from pathlib import Path

# cooper_client and cooper_process are shared with the scripts.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 99))

import pytest

rclpy = pytest.importorskip("rclpy", reason="no ROS 2: run scripts/setup, then . scripts/env.sh")

from cooper_client import Client  # noqa: E402
from cooper_process import NodeProcess  # noqa: E402

CAMERAS = {
    "cameras": ["camera", "packed", "idle"],
    "cameras.packed.transport": "compressed",
}


@pytest.fixture(scope="session")
def client():
    """One rclpy node that all tests use."""
    rclpy.init()
    made = Client()
    yield made
    made.close()
    rclpy.shutdown()


class SharedNode:
    """The node for tests that share their parameters: it runs while no other one does."""

    def __init__(self, folder, client):
        self.folder = folder
        self.client = client
        self.process = None
        self.parameters = None
        self.n_started = 0

    def run(self, parameters):
        if self.process is not None and self.parameters != parameters:
            self.stop()
            self.client.until_alone()
        if self.process is None:
            self.n_started += 1
            self.parameters = parameters
            self.process = NodeProcess(self.folder / f"node{self.n_started}.log", parameters)
            self.process.wait_for("ready")
        return self.process

    def stop(self):
        if self.process is not None:
            self.process.stop_or_kill()
            self.process = None


@pytest.fixture(scope="session")
def shared_node(tmp_path_factory, client):
    """See SharedNode."""
    shared = SharedNode(tmp_path_factory.mktemp("shared"), client)
    yield shared
    shared.stop()


@pytest.fixture
def node(shared_node):
    """The shared node, which must be alive before and after each test."""
    process = shared_node.run(CAMERAS)
    yield process
    assert process.is_alive(), process.log()


@pytest.fixture
def start(tmp_path, client, shared_node):
    """Start nodes with parameters of a test's own; they are stopped at the end of the test."""
    shared_node.stop()
    client.until_alone()
    started = []

    def start(parameters=None, arguments=(), ready=True):
        process = NodeProcess(tmp_path / f"node{len(started)}.log", parameters or {}, arguments)
        started.append(process)
        if ready:
            process.wait_for("ready")
        return process

    yield start
    for process in started:
        process.stop_or_kill()
    client.until_alone()

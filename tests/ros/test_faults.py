"""What goes wrong on a robot: cameras that stop or change, clients that flood, cancel or die, parameters out of range.

Each time the node says what it is, goes on, and answers all that it was asked. More of them: test_robustness.py (load,
garbage, start and end), test_topics.py (stamps), test_metric.py (references, calibrations).
"""

import math
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cooper_client import RELIABLE, SENSOR, Camera, Goals, array_of, image, pixels, stamp_of, until
from cooper_perception.action import Reason
from cooper_perception.srv import Ask, EstimateDepth, GetStatus
from action_msgs.msg import GoalStatus
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import String
from test_everything import rows_of_documents
from test_parameters import get_parameter, set_parameter
from test_topics import diagnostic

RESULT = Reason.Result
STAGE = Reason.Feedback
PERCEPTION, TEXT, DIRECT = Reason.Goal.PERCEPTION, Reason.Goal.TEXT, Reason.Goal.DIRECT


def estimate(client, **fields):
    return client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1, **fields))


def is_well(client):
    """Whether the node answers a question."""
    handle, _ = client.send_goal(image=image(pixels()), mode=DIRECT)
    return handle.accepted and client.result(handle)[0] == GoalStatus.STATUS_SUCCEEDED


# --- Cameras --------------------------------------------------------------------------------------------------------


def test_a_camera_that_stops_is_explained_and_heard_again(start, client):
    start({"limits.image_age": 0.5})
    maps, subscription = client.listen(Image, "/cooper/camera/depth/color")
    publisher = client.node.create_publisher(Image, "/camera/image_raw", SENSOR)

    def sends(number):
        publisher.publish(image(pixels(), stamp=(number, 1)))
        return any(stamp_of(made) == (number, 1) for made in maps)

    until(lambda: sends(1))
    words = r"the newest frame is \d+\.\d s old, and limits.image_age is 0.5 s; /cooper_test_client \(best effort\) advertises /camera/image_raw but sends nothing"
    status, values = diagnostic(client, "camera camera", lambda status: re.fullmatch(words, status.message))
    assert status.level == b"\2" and re.fullmatch(words, values["why_silent"])
    reply = estimate(client)
    assert reply.error_code == EstimateDepth.Response.NO_IMAGE and "sends nothing" in reply.message
    until(lambda: sends(2), message="it was not heard again")

    def heard_again(status):
        sends(2)
        return status.message.startswith("frames arrive")

    diagnostic(client, "camera camera", heard_again)
    client.destroy(publisher)
    diagnostic(client, "camera camera", lambda status: status.message.endswith("s; no publisher on /camera/image_raw"))
    publisher = client.node.create_publisher(Image, "/camera/image_raw", SENSOR)
    until(lambda: sends(3), message="another publisher was not heard")
    client.destroy(publisher)
    client.destroy(subscription)


def test_a_camera_may_change_size_and_encoding(node, client):
    kinds = [((64, 48), "rgb8"), ((80, 40), "bgr8"), ((30, 50), "mono8"), ((64, 48), "bgra8")]
    kind_of = lambda number: kinds[number // 4 % len(kinds)]

    def frame(number):
        (width, height), encoding = kind_of(number)
        return image(pixels(width, height), encoding)

    maps, subscription = client.listen(Image, "/cooper/camera/depth/color")
    with Camera(client, "camera", frame, rate=10.0) as camera:
        mine = lambda: [made for made in maps if camera.number_of(made)]
        until(lambda: {kind_of(camera.number_of(made)) for made in mine()} == set(kinds))
    client.destroy(subscription)
    for made in mine():
        assert (made.width, made.height) == kind_of(camera.number_of(made))[0] and array_of(made).ndim == 3


@pytest.mark.parametrize(
    "qos", [RELIABLE, QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)], ids=["reliable", "latched"]
)
def test_publishers_of_other_qualities_are_heard(node, client, qos):
    publisher = client.node.create_publisher(Image, "/camera/image_raw", qos)

    def heard():
        publisher.publish(image(pixels(52, 36)))
        reply = estimate(client)
        return reply.success and reply.depth_relative.width == 52

    until(heard)
    client.destroy(publisher)


def test_a_publisher_of_another_type_is_named(start, client):
    start(arguments=["-r", "camera/image_raw:=/words"])  # A topic has one type in each of DDS's participants.
    publisher = client.node.create_publisher(String, "/words", RELIABLE)
    expected = "/cooper_test_client publishes std_msgs/msg/String on /words; expected sensor_msgs/msg/Image"
    diagnostic(client, "camera camera", lambda status: status.message == expected)
    assert expected in estimate(client).message
    client.destroy(publisher)


# --- Clients --------------------------------------------------------------------------------------------------------


# What comes at once is kept for the node by the middleware: ten goals (r2r leaves an action at ROS's default), 1000 calls
# of a service. The clients here keep as many replies.
DEEP = QoSProfile(depth=1000)


def test_a_hundred_goals_at_once(start, client):
    process = start({"continuous.rate": 0})
    flooding = Goals(client.node, Reason, "/cooper/reason", goal_service_qos_profile=DEEP, result_service_qos_profile=DEEP)
    until(flooding.server_is_ready)
    goal = Reason.Goal(question="What is near?", seed=-1, image=image(pixels()), mode=DIRECT)

    def sent(n):
        """Eight at a time, as ten goals wait in the middleware and more would be lost; faster than they are answered."""
        handles = []
        while len(handles) < n:
            handles += [client.wait(reply) for reply in [flooding.send_goal_async(goal) for _ in range(8)]]
        return handles

    refused = 0
    for attempt in range(2):  # The second time, goals have ended ten seconds before and rcl waits for nothing any more.
        handles = sent(100)
        accepted = [handle for handle in handles if handle.accepted]
        assert len(accepted) >= 9, "one is worked on and 8 wait"
        assert all(client.result(handle)[0] == GoalStatus.STATUS_SUCCEEDED for handle in accepted)
        refused += len(handles) - len(accepted)
        words = "goal rejected: the queue is full: 8 requests are waiting already"
        until(lambda: process.log().count(words) == refused, message="not each refusal is in the log")
        if attempt == 0:
            time.sleep(11.0)
    client.wait(client.executor.create_task(flooding.destroy))
    assert is_well(client)


@pytest.mark.parametrize("kind, name", [(GetStatus, "get_status"), (EstimateDepth, "estimate_depth")])
def test_a_flood_of_calls(start, client, kind, name):
    start({"continuous.rate": 0})
    flooding = client.node.create_client(kind, f"/cooper/{name}", qos_profile=DEEP)
    until(flooding.service_is_ready)
    request = GetStatus.Request() if kind is GetStatus else kind.Request(image=image(pixels()), seed=-1)
    replies = [client.wait(future) for future in [flooding.call_async(request) for _ in range(300)]]
    client.wait(client.executor.create_task(client.node.destroy_client, flooding))
    if kind is EstimateDepth:
        busy = [reply for reply in replies if not reply.success]
        assert {reply.error_code for reply in busy} <= {kind.Response.BUSY}
        assert all(reply.message == "the queue is full: 8 requests are waiting already" for reply in busy)
        assert len(replies) - len(busy) >= 9
    else:
        assert all(reply.success for reply in replies)
    assert is_well(client)


# At each of these stages the goal has enough before it to be canceled there.
STAGES = {
    "waiting": (STAGE.QUEUED, PERCEPTION, {"flow.time_points": 1000}),
    "reading": (STAGE.PREFILL, PERCEPTION, {"flow.time_points": 1000}),
    "thinking": (STAGE.THINKING, TEXT, {"generation.temperature": 10.0, "generation.max_new_tokens": 3000}),
    "depth": (STAGE.DEPTH, PERCEPTION, {"flow.time_points": 1000}),
    "segmentation": (STAGE.SEGMENTATION, PERCEPTION, {"flow.time_points": 150}),
    "answering": (STAGE.ANSWERING, DIRECT, {"generation.temperature": 10.0, "generation.max_new_tokens": 3000}),
}


@pytest.mark.parametrize("what", STAGES)
def test_a_goal_is_canceled_at_every_stage(start, client, what):
    stage, mode, parameters = STAGES[what]
    start({**parameters, "continuous.rate": 0})
    ahead = client.send_goal(image=image(pixels()), mode=mode)[0] if what == "waiting" else None
    handle, feedback = client.send_goal(image=image(pixels()), mode=mode)
    until(lambda: any(news.stage == stage for news in feedback), 60.0, "it did not come so far")
    begun = time.monotonic()
    assert client.wait(handle.cancel_goal_async()).goals_canceling
    status, result = client.result(handle)
    assert time.monotonic() - begun < 2.0
    assert (status, result.status, result.error_code) == (GoalStatus.STATUS_CANCELED, RESULT.CANCELED, RESULT.ERROR_CANCELED)
    assert feedback[-1].stage >= stage and (stamp_of(result) == (7, 8)) == (what != "waiting")
    if ahead:
        client.wait(ahead.cancel_goal_async())
        assert client.result(ahead)[0] == GoalStatus.STATUS_CANCELED
    assert set_parameter(client, "generation.temperature", 0.0).successful
    assert set_parameter(client, "generation.max_new_tokens", 16).successful
    handle, _ = client.send_goal(image=image(pixels()), mode=DIRECT)
    assert client.result(handle)[0] == GoalStatus.STATUS_SUCCEEDED, "the next one is not concerned"


DYING = """
import os, sys
sys.path.insert(0, {scripts!r})
import rclpy
from cooper_client import Client, image, pixels, until
from cooper_perception.srv import Ask
rclpy.init()
client = Client()
handle, news = client.send_goal(image=image(pixels()), mode=2)
handle.get_result_async()
until(lambda: any(message.stage == 3 for message in news))
client.call_async(Ask, "/cooper/ask", Ask.Request(question="Now?", image=image(pixels()), seed=-1))
print("asked", flush=True)
until(lambda: False, 60.0)
"""


def test_a_client_that_dies_is_no_ones_trouble(start, client):
    process = start({"flow.time_points": 100, "continuous.rate": 0})
    scripts = str(Path(__file__).resolve().parents[2] / "scripts")
    dying = subprocess.Popen([sys.executable, "-c", DYING.format(scripts=scripts)], stdout=subprocess.PIPE, text=True)
    assert dying.stdout.readline() == "asked\n"
    dying.send_signal(signal.SIGKILL)
    dying.wait(10)
    done = lambda: int(diagnostic(client, "cooper: model")[1]["done"])
    assert client.call(Ask, "/cooper/ask", Ask.Request(question="And now?", image=image(pixels()), seed=-1), timeout=60.0).success
    until(lambda: done() >= 2, message="its goal is carried out, then our call")
    assert is_well(client) and process.is_alive()
    assert "ERROR" not in process.log() and "panicked" not in process.log()


# --- Parameters -----------------------------------------------------------------------------------------------------


def bad_values(accepts):
    """Values just outside of what the documentation says that a parameter accepts, and of another type."""
    if accepts == "a string":
        return [5, True]
    if accepts == "true or false":
        return [1, "true"]
    if numbers := re.fullmatch(r"an integer from (\d+)( to (\d+))?", accepts):
        low, _, high = numbers.groups()
        return [int(low) - 1, *([int(high) + 1] if high else []), 2.5, math.nan, "5", [5]]
    if numbers := re.fullmatch(r"a number from (\S+) to (\S+)", accepts):
        low, high = map(float, numbers.groups())
        return [math.nextafter(low, -math.inf), math.nextafter(high, math.inf), math.nan, math.inf, -math.inf, "0.5", True]
    if accepts.startswith("two numbers from 0 to 1"):
        return [[0.5], [0.1, 0.2, 0.3], [0.9, 0.1], [-0.1, 0.5], [0.5, 1.1], [math.nan, 1.0], 0.5, ["0", "1"]]
    if accepts.startswith("a list of different names"):
        return [["a", "a"], [""], ["/a"], ["a b"], ["1a"], "a"]
    return ["nonsense", "", 1, ["nonsense"]]  # words to choose from, or to be read


PARAMETERS = {name: row[1] for name, row in rows_of_documents("parameters").items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_each_bad_value_of_each_parameter_is_refused(node, client, name):
    name, accepts = name.replace(".N.", ".idle."), PARAMETERS[name]
    before = get_parameter(client, name)
    for value in bad_values(accepts):
        result = set_parameter(client, name, value)
        assert not result.successful, f"{name} has taken {value!r}"
        told = {True: "true", False: "false"}.get(value) if isinstance(value, bool) else None
        told = told or {"nan": "NaN", "inf": "inf", "-inf": "-inf"}.get(str(value))
        if told is None and isinstance(value, (int, str)):
            told = f'"{value}"' if isinstance(value, str) else str(value)
        got = f", got {told or ''}"
        assert name in result.reason and f"accepts {accepts}{got}" in result.reason, result.reason
    assert str(get_parameter(client, name)) == str(before)


# --- The end --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_node_in_the_middle_of_a_map(start, client, how):
    """A map for a topic, nobody's request: a signal has its effect within a step of it, and clients are told."""
    process = start({"flow.time_points": 1000})
    maps, subscription = client.listen(Image, "/cooper/camera/depth/color")
    with client.camera():
        diagnostic(client, "cooper: model", lambda status: status.message == "working")
        waiting = client.call_async(Ask, "/cooper/ask", Ask.Request(question="Now?", image=image(pixels()), seed=-1))
        code, seconds = process.stop(how)
        assert code == 0 and seconds < 3.0, process.log()
        reply = client.wait(waiting)
        assert reply.success or reply.error_code in (Ask.Response.CANCELED, Ask.Response.NOT_READY), reply
    client.destroy(subscription)
    assert "stopping" in process.log() and "ERROR" not in process.log() and "panicked" not in process.log()

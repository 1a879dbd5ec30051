"""Every topic: it comes when somebody listens, and carries the header and the size of its picture."""

import importlib.util
import time

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from cooper_client import RELIABLE, SENSOR, Camera, array_of, image, pixels, stamp_of, until
from cooper_perception.msg import Answer
from cooper_perception.srv import Ask, EstimateDepth, GetStatus
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from test_parameters import set_parameter

MAPS = {
    "depth_relative/image": ["32FC1"],
    "depth/color": ["rgb8"],
    "depth/confidence": ["32FC1"],
    "segmentation/color": ["rgb8"],
    "segmentation/labels": ["mono8", "mono16"],
    "overlay": ["rgb8"],
}


def diagnostic(client, name, good=lambda status: True):
    """Wait for a diagnostic of that name; its status and values."""
    messages, subscription = client.listen(DiagnosticArray, "/diagnostics")

    def found():
        for message in messages:
            for status in message.status:
                if status.name.endswith(name) and good(status):
                    return status
        return None

    status = until(found, 10.0, f"no such diagnostic of {name}")
    client.destroy(subscription)
    return status, {pair.key: pair.value for pair in status.values}


@pytest.mark.parametrize("topic", MAPS)
def test_a_map_has_the_header_and_size_of_its_picture(node, client, topic):
    with client.camera(width=56, height=40) as camera:
        maps, subscription = client.listen(Image, f"/cooper/camera/{topic}")
        # The first map may be of a frame that an earlier test has left.
        maps_of = lambda: [made for made in maps if camera.number_of(made)]
        until(lambda: len(maps_of()) >= 2, message=f"no {topic}")
        client.destroy(subscription)
        maps = maps_of()
    stamps = [stamp_of(made) for made in maps]
    assert len(set(stamps)) == len(stamps), "each frame becomes a map once"
    assert maps[0].header.frame_id == "optical"
    assert (maps[0].width, maps[0].height) == (56, 40)
    assert maps[0].encoding in MAPS[topic]
    values = array_of(maps[0])
    if topic in ("depth_relative/image", "depth/confidence"):
        assert np.nanmin(values) >= 0.0 and np.nanmax(values) <= 1.0


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_compressed_pictures(node, client, kind):
    with client.packed_camera(kind=kind, width=72, height=40) as camera:
        maps, subscription = client.listen(Image, "/cooper/packed/depth/color")
        made = until(lambda: [made for made in maps if camera.number_of(made)], message="no map")[0]
        client.destroy(subscription)
    assert (made.width, made.height, made.header.frame_id) == (72, 40, "optical")


def test_maps_nobody_listens_to_are_not_made(node, client):
    until(lambda: client.node.count_subscribers("/cooper/camera/overlay") == 0)
    with client.camera():
        time.sleep(0.5)
        _, before = diagnostic(client, "model", lambda status: status.message == "ready")
        time.sleep(1.0)
        _, after = diagnostic(client, "model")
    assert before["done"] == after["done"]


def test_the_rate_of_maps_is_held(start, client):
    start({"continuous.rate": 2})
    with client.camera(rate=20.0):
        maps, subscription = client.listen(Image, "/cooper/camera/depth/color")
        until(lambda: maps)
        time.sleep(3.0)
        client.destroy(subscription)
    assert 4 <= len(maps) <= 8


def test_answers_are_published(node, client):
    answers, subscription = client.listen(Answer, "/cooper/answer", RELIABLE)
    until(lambda: client.node.count_publishers("/cooper/answer"))
    request = Ask.Request(question="What is left of it?", image=image(pixels(), stamp=(3, 4)), seed=5, mode=Ask.Request.DIRECT)
    # The node may learn of a reader later than the reader of the node.
    until(lambda: client.call(Ask, "/cooper/ask", request) and answers, message="no answer is published")
    by_service = until(lambda: [a for a in answers if a.question == "What is left of it?"])[0]
    assert (stamp_of(by_service), by_service.header.frame_id) == ((3, 4), "optical")
    assert (by_service.seed, by_service.mode, by_service.camera) == (5, Answer.DIRECT, "")
    with client.camera() as camera:
        until(lambda: camera_status(client, "camera").age_s < 0.2 and camera.sent > 5)
        handle, _ = client.send_goal(question="And right?", mode=Answer.DIRECT)
        client.result(handle)
    by_action = until(lambda: [a for a in answers if a.question == "And right?"])[0]
    assert by_action.camera == "camera" and camera.number_of(by_action)
    client.destroy(subscription)


def camera_status(client, name):
    reply = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    return next(camera for camera in reply.cameras if camera.name == name)


def test_diagnostics_tell_of_the_model_and_each_camera(node, client):
    status, values = diagnostic(client, "cooper: model")
    assert values["state"] == "ready" and values["dtype"] and values["model"]
    status, values = diagnostic(client, "cooper: camera idle")
    assert "no publisher on /idle/image_raw" in status.message
    info = client.info_publisher()
    with stamped_camera(client, 0.0):
        for _ in range(20):
            info.publish(CameraInfo())
            time.sleep(0.05)
        status, values = diagnostic(client, "cooper: camera camera", lambda s: s.message == "frames arrive")
        heard = camera_status(client, "camera")
        assert heard.camera_info and -0.1 < heard.stamp_age_s < 1.0 and abs(float(values["stamp_age_s"])) < 1.0
    assert status.level == b"\0"
    assert values["encoding"] == "rgb8" and values["publishers"] == "1"
    assert 5.0 < float(values["rate_hz"]) < 40.0
    _, values = diagnostic(client, "cooper: camera camera", lambda s: any(v.key == "camera_info" and v.value == "yes" for v in s.values))
    client.destroy(info)


def stamped_camera(client, offset):
    """A camera whose stamps are so many seconds later than now."""
    frame = image(pixels())
    return Camera(client, "camera", lambda _: frame, 20.0, offset=offset)


@pytest.mark.parametrize("offset, words", [(-60.0, "behind"), (60.0, "ahead of")])
def test_stamps_that_are_far_off_are_explained_and_used(node, client, offset, words):
    with stamped_camera(client, offset):
        status, _ = diagnostic(client, "camera camera", lambda s: f"s {words} the node's clock" in s.message)
        heard = camera_status(client, "camera")
        reply = client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1))
    assert status.level == b"\1" and status.message.startswith("frames arrive, but the newest stamp is ")
    assert "limits.image_age is 5.0 s" in status.message
    assert abs(heard.stamp_age_s + offset) < 1.0 and heard.age_s < 1.0 and heard.why_silent == ""
    assert reply.success, reply.message


def test_zero_stamps_and_a_missing_calibration_are_explained(start, client):
    start()
    publisher = client.node.create_publisher(Image, "/camera/image_raw", SENSOR)

    def told(message, words):
        def good(status):
            publisher.publish(message)
            return words in status.message

        return diagnostic(client, "camera camera", good)[0].level

    assert told(image(pixels(), stamp=(0, 0)), "frames arrive, but the newest stamp is zero") == b"\1"
    client.destroy(publisher)
    with stamped_camera(client, 0.0):
        status, values = diagnostic(client, "camera camera", lambda s: s.message.startswith("frames arrive; no calibration"))
    assert status.level == b"\0" and values["camera_info"] == "missing"


def test_a_tiny_rate_can_be_left_at_once(start, client):
    process = start({"continuous.rate": 1e-300})
    with client.camera(rate=20.0):
        maps, subscription = client.listen(Image, "/cooper/camera/depth/color")
        until(lambda: maps, message="no first map")
        time.sleep(1.0)
        assert len(maps) == 1
        assert set_parameter(client, "continuous.rate", 20.0).successful
        until(lambda: len(maps) > 3, 3.0, "the new rate did not hold")
        client.destroy(subscription)
    assert process.is_alive()


def test_the_log_is_on_rosout(node, client):
    late = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    logs, subscription = client.listen(Log, "/rosout", late)
    ready = until(lambda: [log for log in logs if log.msg.startswith("ready")])[0]
    assert (ready.name, ready.level) == ("cooper", 20)
    client.destroy(subscription)


def test_nothing_is_advertised_that_never_comes(node, client):
    topics = dict(client.node.get_topic_names_and_types())
    made = sorted(name for name in topics if name.startswith("/cooper/camera/"))
    # Where vision_msgs is installed, the node is built with it.
    infos = ["segmentation/label_info"] if importlib.util.find_spec("vision_msgs") else []
    assert made == sorted(f"/cooper/camera/{topic}" for topic in [*MAPS, *infos])


def test_simulated_time(start, client):
    start({"use_sim_time": True})
    clock = client.node.create_publisher(Clock, "/clock", SENSOR)

    def is_simulated():
        clock.publish(Clock(clock=Time(sec=123, nanosec=4)))
        reply = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
        return stamp_of(reply) == (123, 4)

    until(is_simulated)
    client.destroy(clock)


def test_namespace_and_remapping(start, client):
    start(arguments=["-r", "__ns:=/robot", "-r", "camera/image_raw:=/usb/image"])
    reply = client.call(GetStatus, "/robot/cooper/get_status", GetStatus.Request())
    assert reply.cameras[0].topic == "/usb/image"
    frame = image(pixels())
    publisher = client.node.create_publisher(Image, "/usb/image", RELIABLE)

    def heard():
        publisher.publish(frame)
        camera = client.call(GetStatus, "/robot/cooper/get_status", GetStatus.Request()).cameras[0]
        return camera.encoding == "rgb8" and camera.publishers == 1

    until(heard)
    client.destroy(publisher)

"""~/measure: typed questions about rooms that the shipped model can see, and what cannot be asked."""

import math

import numpy as np
import pytest
from cooper_client import Camera, image, pixels, until
from cooper_perception.msg import Answer
from cooper_perception.srv import Measure
from sensor_msgs.msg import CameraInfo
from test_shipped_model import DEFAULTS, rooms  # noqa: F401 (a fixture)

Request, Reply = Measure.Request, Measure.Response


def measure(client, kind, objects, **fields):
    return client.call(Measure, "/cooper/measure", Request(kind=kind, objects=objects, **{"seed": 0, **fields}), timeout=60.0)


def centroid(room, i):
    rows, columns = np.nonzero(room.ids == 3 + i)
    return columns.mean(), rows.mean()


def name(thing):
    return f"{thing['color']} {thing['category']}"


def test_places_are_told(start, client, rooms):  # noqa: F811
    start(DEFAULTS)
    off = []
    for room in rooms:
        for i, thing in enumerate(room.facts["objects"]):
            reply = measure(client, Request.LOCATE, [name(thing)], image=image(room.picture))
            assert reply.success and name(thing) in reply.question, reply.message
            if not math.isnan(reply.pixel.x):
                off.append(np.hypot(*np.subtract(centroid(room, i), (reply.pixel.x, reply.pixel.y))))
            assert math.isnan(reply.point.x), "no camera, no metres"
    assert len(off) >= 10 and np.median(off) < 6, off


def test_distances_are_checked_in_metres(start, client, rooms):  # noqa: F811
    """The room's true depth is the reference; nobody told the model."""
    start(DEFAULTS | {"cameras.camera.scale.source": "depth"})
    room = rooms[0]
    height, width = room.ids.shape
    seen = room.facts["camera"]
    k = [seen["fx"], 0.0, seen["cx"], 0.0, seen["fy"], seen["cy"], 0.0, 0.0, 1.0]
    infos = client.info_publisher()
    depths = client.node.create_publisher(type(image(room.picture)), "/camera/depth_reference", 10)

    def beside(stamp):
        info = CameraInfo(width=width, height=height, k=k)
        depth = type(image(room.picture))(height=height, width=width, encoding="32FC1", step=4 * width)
        depth.data = room.metres.astype(np.float32).tobytes()
        info.header.stamp = depth.header.stamp = stamp
        infos.publish(info)
        depths.publish(depth)

    answers, subscription = client.listen(Answer, "/cooper/answer")
    agreed = []
    with Camera(client, "camera", lambda _: image(room.picture), 5.0, beside=beside):
        for thing in room.facts["objects"]:
            reply = until(lambda: (r := measure(client, Request.DISTANCE, [name(thing)])).success and r, 30.0)
            assert reply.unit == "m" and reply.has_value, reply
            agreed.append(reply.agreement)
            if reply.agreement != Reply.UNKNOWN:
                assert abs(reply.map_value - np.linalg.norm([reply.point.x, reply.point.y, reply.point.z])) < 1e-6
                tolerance = max(0.25 * reply.map_value, 0.1)
                assert (abs(reply.value - reply.map_value) <= tolerance) == (reply.agreement == Reply.CONSISTENT)
    assert any(a != Reply.UNKNOWN for a in agreed), "the maps could never tell"
    until(lambda: len(answers) >= len(agreed), message="answers on the topic")
    client.node.destroy_subscription(subscription)
    client.node.destroy_publisher(depths)
    client.node.destroy_publisher(infos)


def test_relations_orders_and_counts(start, client, rooms):  # noqa: F811
    start(DEFAULTS)
    right = []
    for room in rooms:
        things = room.facts["objects"][:2]
        if len(things) < 2 or name(things[0]) == name(things[1]):
            continue
        names = [name(thing) for thing in things]
        reply = measure(client, Request.RELATION, names, axis=Request.X, image=image(room.picture))
        assert reply.success, reply.message
        left = centroid(room, 0)[0] < centroid(room, 1)[0]
        right.append(reply.answer == ("left" if left else "right"))
        assert not reply.has_value and reply.unit == ""
        order = measure(client, Request.ORDER, names, axis=Request.X, image=image(room.picture))
        assert order.success and set(order.ordered) <= set(names)
    assert np.mean(right) > 0.5, right
    reply = measure(client, Request.COUNT, ["objects"], image=image(rooms[0].picture))
    assert reply.has_value and reply.value == int(reply.value) and reply.unit == "", reply


def test_objects_that_do_not_exist_are_not_confirmed(start, client, rooms):  # noqa: F811
    start(DEFAULTS)
    absent = ["green elephant", "purple piano"]
    for room in rooms:
        for kind, axis in [(Request.RELATION, Request.X), (Request.RELATION, Request.Z), (Request.ORDER, Request.X)]:
            reply = measure(client, kind, absent, axis=axis, image=image(room.picture))
            assert reply.success and reply.agreement == Reply.UNKNOWN, reply
            assert reply.message and "map" not in reply.message, reply.message
            assert "metres" not in reply.message, reply.message


def test_a_message_says_that_no_map_was_compared(start, client, rooms):  # noqa: F811
    start(DEFAULTS)
    n_compared = 0
    for room in rooms:
        names = [name(thing) for thing in room.facts["objects"][:2]]
        if len(set(names)) < 2:
            continue
        reply = measure(client, Request.RELATION, names, axis=Request.X, image=image(room.picture))
        if reply.agreement == Reply.UNKNOWN:
            assert reply.message
            continue
        assert "the model's own words" in reply.message, reply.message
        n_compared += 1
    assert n_compared > 0, "the model confirmed no pair"


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"kind": 9, "objects": ["box"]}, "kind: expected 0 to 5, got 9"),
        ({"kind": 0, "objects": ["box"], "axis": 4}, "axis: expected 0 to 3, got 4"),
        ({"kind": 0, "objects": []}, "objects: expected 1 to 2 for Distance, got 0"),
        ({"kind": 2, "objects": ["box", " "]}, "objects[1]: expected words, got none"),
        ({"kind": 0, "objects": ["box"], "mode": 7}, "mode"),
        ({"kind": 0, "objects": ["box"], "seed": -5}, "seed"),
    ],
)
def test_what_cannot_be_asked(node, client, fields, words):
    request = Request(**{"image": image(pixels()), "seed": -1, **fields})
    reply = client.call(Measure, "/cooper/measure", request)
    assert (reply.success, reply.error_code) == (False, Reply.INVALID_INPUT) and words in reply.message, reply.message
    assert math.isnan(reply.value) and math.isnan(reply.pixel.x) and reply.agreement == Reply.UNKNOWN

"""Regions as robots use them: 3D boxes, names, label_info, and markers that come, stay and go."""

import json
import math
import time
from pathlib import Path

import numpy as np
import pytest
from cooper_client import RELIABLE, array_of, image, pixels, stamp_of, until
from cooper_perception.msg import Answer
from cooper_perception.srv import Ask, Segment
from metric_rig import LATCHED, Rig, depth_image
from sensor_msgs.msg import Image
from test_metric_rooms import calibration_of
from test_parameters import set_parameter
from test_shipped_model import DEFAULTS, N_SCENES, rooms  # noqa: F401  (a fixture)
from test_topics import diagnostic
from visualization_msgs.msg import Marker, MarkerArray

STAND_IN = Path(__file__).resolve().parents[2] / ".ros2" / "share" / "vision_msgs" / "msg" / "LabelInfo.json"
# Of a normal ROS 2 installation, as published for Jazzy.
LABEL_INFO_HASH = "RIHS01_3d37df4015cdf660cc851c51897f2acd957e1ca6205ba0a99aebffb9406b0783"
SCALED = DEFAULTS | {
    "cameras.camera.scale.source": "depth",
    "cameras.camera.scale.time_constant": 0.0,
    "cameras.camera.scale.max_jump": 2.0,
    "continuous.rate": 0.0,
}


def segment(client, **fields):
    return client.call(Segment, "/cooper/segment", Segment.Request(**{"seed": 0, **fields}), timeout=60.0)


def rig_of(client, room):
    return Rig(client, "camera", room.picture, calibration_of(room), depth_image(room.metres))


def truth_at(room, mask):
    """The name of what covers most of a mask, and its number in the facts; none for floor, walls and ceiling."""
    ids, counts = np.unique(room.ids[mask], return_counts=True)
    true = int(ids[counts.argmax()])
    if true < 3:
        return ["floor", "wall", "ceiling"][true], None
    thing = room.facts["objects"][true - 3]
    return f"{thing['color']} {thing['category']}", true - 3


def visible_box(room, number):
    """The box around all of an object that its pixels show: lowest and highest corner."""
    camera, (rows, columns) = room.facts["camera"], np.nonzero(room.ids == 3 + number)
    z = room.metres[rows, columns]
    ends = [np.stack([(columns + by - camera["cx"]) / camera["fx"] * z, (rows + by - camera["cy"]) / camera["fy"] * z, z])
            for by in (-0.5, 0.5)]  # fmt: skip
    return ends[0].min(axis=1), ends[1].max(axis=1)


# Of 40 rooms, all have metres: the middle of 111 objects is off by 0.064 of its distance, width or height by 0.105 m.
def test_boxes_are_where_objects_are(start, client, rooms):  # noqa: F811
    start(SCALED)
    middles, sizes, n_objects, n_scaled = [], [], 0, 0
    for room in rooms:
        with rig_of(client, room) as rig:
            until(lambda: rig.sent > 3 and rig.status().camera_info)
            reply = until(lambda: (made := segment(client, camera="camera", boxes=True)).success and made)
        if reply.message:
            assert reply.message.startswith("no boxes: ")
            assert not any(region.has_box for region in reply.regions)
            continue
        n_scaled += 1
        labels = array_of(reply.labels)
        for region in reply.regions:
            _, number = truth_at(room, labels == region.id)
            mine = (labels == region.id) & (room.ids == 3 + (number or 0))
            if number is None or mine.sum() < 0.6 * (room.ids == 3 + number).sum():
                continue
            n_objects += 1
            assert region.has_box
            low, high = visible_box(room, number)
            center = np.array([region.box_center.x, region.box_center.y, region.box_center.z])
            size = np.array([region.box_size.x, region.box_size.y, region.box_size.z])
            middles.append(np.linalg.norm(center - (low + high) / 2) / np.linalg.norm((low + high) / 2))
            sizes.append(np.abs(size - (high - low))[:2].max())
    print(f"{n_objects} objects in {n_scaled} of {len(rooms)} rooms: middle off by {np.median(middles):.3f} of its distance "
          f"({np.percentile(middles, 90):.3f} for 90 %), width or height by {np.median(sizes):.3f} m ({np.percentile(sizes, 90):.3f})")  # fmt: skip
    assert n_scaled >= 0.6 * N_SCENES and n_objects >= 1.5 * n_scaled
    # What is off is mostly the model's depth: the rest is its labels (tests/boxes.rs has both true).
    assert np.median(middles) < 0.1 and np.median(sizes) < 0.2


def test_boxes_that_cannot_be_are_explained(node, client):
    with client.camera():
        until(lambda: segment(client, camera="camera").success)
        reply = segment(client, camera="camera", boxes=True)
    assert reply.success and reply.message == "no boxes: cameras.camera.scale.source is none"
    assert all(not r.has_box and math.isnan(r.box_center.x) and math.isnan(r.box_size.z) for r in reply.regions)
    reply = segment(client, image=image(pixels()), boxes=True)
    assert reply.success and reply.message.startswith("no boxes: an image inside a request has no camera")


# Of 40 rooms: 80 of 113 objects are named right, the colours of all, and 94 of 126 parts of floor, walls and ceiling.
def test_names_are_mostly_right(start, client, rooms):  # noqa: F811
    start(DEFAULTS)
    right, colors = {True: [], False: []}, []
    for room in rooms:
        unnamed = segment(client, image=image(room.picture))
        assert unnamed.success and not any(region.name for region in unnamed.regions), "nobody asked"
        reply = segment(client, image=image(room.picture), names=True)
        assert reply.success, reply.message
        labels = array_of(reply.labels)
        for region in reply.regions:
            name, number = truth_at(room, labels == region.id)
            right[number is not None].append(region.name == name)
            if number is not None:
                colors.append(region.name.split(" ")[0] == name.split(" ")[0])
    print(f"right names: {sum(right[True])} of {len(right[True])} objects (colours {sum(colors)}), "
          f"{sum(right[False])} of {len(right[False])} of floor, walls, ceiling")  # fmt: skip
    assert np.mean(right[True]) > 0.5 and np.mean(colors) > 0.8 and np.mean(right[False]) > 0.5


def test_label_info_tells_ids_and_names(start, client, rooms):  # noqa: F811
    """Where vision_msgs is found; then scripts/setup has built the node with it."""
    LabelInfo = pytest.importorskip("vision_msgs.msg", reason="no vision_msgs: the node has no label_info").LabelInfo
    start(DEFAULTS | {"continuous.rate": 10.0})
    labels, of_labels = client.listen(Image, "/cooper/camera/segmentation/labels", RELIABLE)
    infos, of_infos = client.listen(LabelInfo, "/cooper/camera/segmentation/label_info", LATCHED)
    with Rig(client, "camera", rooms[0].picture):
        info = until(lambda: next((i for i in infos if any(stamp_of(m) == stamp_of(i) for m in labels)), None), message="no pair")
        drawn = next(m for m in labels if stamp_of(m) == stamp_of(info))
        unlabelled = 255 if drawn.encoding == "mono8" else 65535
        ids = [known.class_id for known in info.class_map]
        assert set(np.unique(array_of(drawn))) - {unlabelled} <= set(ids) and len(ids) == len(set(ids))
        assert not any(known.class_name for known in info.class_map), "names were not asked for"
        assert info.header.frame_id == "optical" and info.threshold == 0.0
    with Rig(client, "camera", rooms[0].picture):
        assert set_parameter(client, "segmentation.names", True).successful
        until(lambda: any(known.class_name for known in infos[-1].class_map), message="no names")
        named = {known.class_id: known.class_name for known in infos[-1].class_map}
        n = len(infos)
        again = until(lambda: infos[n + 1 :])[-1]
        assert {known.class_id: known.class_name for known in again.class_map} == named, "ids and names stay"
    client.destroy(of_labels)
    late, of_late = client.listen(LabelInfo, "/cooper/camera/segmentation/label_info", LATCHED)
    assert until(lambda: late)[0].class_map, "it is kept for those who come late"
    client.destroy(of_late)
    client.destroy(of_infos)


@pytest.fixture
def classed_model(tmp_path):
    """The shipped model with a palette of the greys and colours that it draws."""
    for file in (Path(__file__).resolve().parents[2] / "models" / "cooper-nano").iterdir():
        (tmp_path / file.name).symlink_to(file)
    names = ["floor", "wall", "ceiling", "red", "green", "blue", "yellow"]
    paints = [[60] * 3, [128] * 3, [200] * 3, [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0]]
    classes = [{"id": i, "name": name, "colour": paint} for i, (name, paint) in enumerate(zip(names, paints, strict=True))]
    (tmp_path / "palette.json").write_text(json.dumps({"classes": classes}))
    return {entry["name"]: entry["colour"] for entry in classes}, tmp_path


def test_regions_of_a_model_with_a_palette_have_names_without_asking(start, client, rooms, classed_model):  # noqa: F811
    paints, model = classed_model
    start(DEFAULTS | {"model.dir": str(model)})
    for names in (False, True):
        reply = segment(client, image=image(rooms[0].picture), names=names)
        assert reply.success and len(reply.regions) >= 3, reply.message
        drawn, labels = array_of(reply.color), array_of(reply.labels)
        for region in reply.regions:
            assert np.all(drawn[labels == region.id] == paints[region.name]), region.name
        assert {"floor", "wall"} <= {region.name for region in reply.regions}
    overlays, of_overlays = client.listen(Image, "/cooper/camera/overlay", RELIABLE)
    with Rig(client, "camera", np.kron(rooms[0].picture, np.ones((4, 4, 1), np.uint8))):
        overlay = array_of(until(lambda: overlays)[0])
    assert np.any(np.all(overlay == 255, axis=2)), "names are written in white"
    client.destroy(of_overlays)


@pytest.mark.skipif(not STAND_IN.exists(), reason="vision_msgs comes from a ROS 2 installation")
def test_the_vision_msgs_of_setup_are_the_real_ones():
    hashes = {entry["type_name"]: entry["hash_string"] for entry in json.loads(STAND_IN.read_text())["type_hashes"]}
    assert hashes["vision_msgs/msg/LabelInfo"] == LABEL_INFO_HASH


def by_space(message, action):
    """The ids of each namespace with this action."""
    found = {}
    for marker in message.markers:
        if marker.action == action:
            found.setdefault(marker.ns, set()).add(marker.id)
    return found


def test_markers_show_regions_and_forget_them(start, client, rooms):  # noqa: F811
    start(SCALED | {"continuous.rate": 10.0})
    room, other = rooms[0], rooms[1]
    with rig_of(client, room) as rig:
        until(lambda: rig.sent > 3)
        time.sleep(1.0)
        _, before = diagnostic(client, "model")
        time.sleep(1.0)
        _, after = diagnostic(client, "model", lambda status: True)
        assert before["done"] == after["done"], "nobody listens, nothing is drawn"
        arrays, subscription = client.listen(MarkerArray, "/cooper/markers", RELIABLE)
        shown = until(lambda: [a for a in arrays if "camera/regions" in by_space(a, Marker.ADD)], message="no regions")[0]
        added = by_space(shown, Marker.ADD)
        assert added["camera/regions"] == added["camera/names"] and len(added["camera/regions"]) >= 3
        reply = segment(client, camera="camera", boxes=True)
        boxes = {region.id: region for region in reply.regions if region.has_box}
        assert added["camera/regions"] == set(boxes), "the ids of the label image"
        for marker in shown.markers:
            assert marker.header == shown.markers[0].header and marker.header.frame_id == "optical"
            assert marker.header.stamp.sec > 1_000_000_000 and marker.pose.orientation.w == 1.0
            region = boxes[marker.id]
            if marker.type == Marker.CUBE:
                size, at = marker.scale, marker.pose.position
                assert min(size.x, size.y, size.z) > 0.0
                assert np.allclose([at.x, at.y, at.z], [region.box_center.x, region.box_center.y, region.box_center.z], atol=0.05)
                assert 0.0 <= marker.color.a <= 0.5 and math.isclose(marker.color.r, region.color.r, abs_tol=0.02)
            else:
                assert marker.type == Marker.TEXT_VIEW_FACING and marker.text.startswith(f"region {marker.id}\n")
                assert marker.pose.position.y < region.box_center.y and 0.01 < marker.scale.z < 0.5 and marker.color.a == 1.0
    ids = set(added["camera/regions"])
    with rig_of(client, other) as rig:
        until(lambda: rig.sent > 3)
        n = len(arrays)
        gone = until(lambda: [a for a in arrays[n:] if by_space(a, Marker.DELETE)], message="nothing is deleted")[-1]
        left, deleted = by_space(gone, Marker.ADD)["camera/regions"], by_space(gone, Marker.DELETE)["camera/regions"]
        assert not left & deleted and ids <= left | deleted and by_space(gone, Marker.DELETE)["camera/names"] == deleted
        # Without metres nothing is shown any more.
        rig.reference = depth_image(np.random.default_rng(0).uniform(0.1, 20.0, other.metres.shape))
        none = until(lambda: [a for a in arrays if "camera/regions" not in by_space(a, Marker.ADD)], message="boxes stay")[-1]
        assert left <= by_space(none, Marker.DELETE)["camera/regions"]
    client.destroy(subscription)


def test_answers_are_markers_too(node, client):
    arrays, subscription = client.listen(MarkerArray, "/cooper/markers", RELIABLE)
    until(lambda: client.node.count_publishers("/cooper/markers"))
    answers, of_answers = client.listen(Answer, "/cooper/answer", RELIABLE)

    def asked():
        request = Ask.Request(question="What is near?", image=image(pixels(), stamp=(3, 4)), seed=5, mode=Ask.Request.DIRECT)
        assert client.call(Ask, "/cooper/ask", request).success
        return arrays

    (marker,) = until(asked)[0].markers
    answer = until(lambda: answers)[0]
    assert (marker.ns, marker.id, marker.type, marker.action) == ("answer", 0, Marker.TEXT_VIEW_FACING, Marker.ADD)
    assert (marker.header.stamp.sec, marker.header.frame_id) == (3, "optical")
    assert marker.text.startswith("What is near?\n") and (answer.answer.split() or ["(no"])[0] in marker.text
    assert marker.pose.position.z > 0.0 and marker.scale.z > 0.0
    client.destroy(of_answers)
    client.destroy(subscription)

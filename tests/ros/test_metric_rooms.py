"""Metres of the shipped model in rooms that no training has seen: from the camera's height, and from a depth sensor."""

import math

import numpy as np
import pytest
from cooper_client import array_of, until
from metric_rig import Rig, Topics, depth_image
from cooper_perception.srv import EstimateDepth
from sensor_msgs.msg import CameraInfo
from test_parameters import set_parameter
from test_shipped_model import DEFAULTS, N_SCENES, rooms  # noqa: F401  (a fixture)
from test_topics import diagnostic

HEIGHT = {
    **DEFAULTS,
    "cameras": ["high", "deep"],
    "cameras.deep.scale.source": "depth",
    "cameras.deep.scale.max_age": 0.0,
    "cameras.high.scale.source": "height",
    "cameras.high.scale.height": 1.0,
    # Each room is a scene of its own.
    "cameras.high.scale.time_constant": 0.0,
    "cameras.high.scale.max_jump": 2.0,
    "continuous.rate": 0.0,
}


def calibration_of(room):
    camera = room.facts["camera"]
    height, width = room.metres.shape
    k = [camera["fx"], 0.0, camera["cx"], 0.0, camera["fy"], camera["cy"], 0.0, 0.0, 1.0]
    return CameraInfo(width=width, height=height, k=k)


def pose_of(room):
    """The camera's height, and how far it looks down and is turned clockwise."""
    pose = np.array(room.facts["camera"]["world_from_camera"])
    down = pose[:3, :3].T @ [0.0, 0.0, -1.0]
    return pose[2, 3], math.atan2(down[2], math.hypot(down[0], down[1])), math.atan2(down[0], down[1])


def look(client, room, tilt_known):
    """The reply about a room, with what is known of its camera."""
    values = dict(zip(("height", "pitch", "roll"), pose_of(room)), tilt_known=tilt_known)
    for leaf, value in values.items():
        assert set_parameter(client, f"cameras.high.scale.{leaf}", value).successful
    with Rig(client, "high", room.picture, calibration_of(room)) as rig:
        until(lambda: rig.sent > 3 and rig.status().camera_info)
        return rig.estimate()


# Of 40 rooms: with the tilt found, 33 have metres, off by 11.5 % in the median; with the tilt known 36, off by 7.2 %.
@pytest.mark.parametrize("tilt_known, least", [(False, 1 / 3), (True, 2 / 3)])
def test_rooms_have_their_metres(start, client, rooms, tilt_known, least):  # noqa: F811
    start(HEIGHT)
    errors, refusals = [], []
    for room in rooms:
        reply = look(client, room, tilt_known)
        assert reply.success, reply.message
        if reply.scale_valid:
            metres = array_of(reply.depth).astype(float)
            errors.append(float(np.nanmedian(np.abs(metres / room.metres - 1))))
        else:
            assert reply.message.startswith("no metric depth: ")
            refusals.append(reply.message)
    print(f"tilt known: {tilt_known}; {len(errors)} rooms off by {np.median(errors):.3f} in the median; refused: {refusals}")
    assert len(errors) >= least * N_SCENES and np.median(errors) < 0.15, (errors, refusals)


# Of 40 rooms, 38 have metres, off by 3.9 % in the median.
def test_rooms_have_the_metres_of_a_sensor(start, client, rooms):  # noqa: F811
    start(HEIGHT)
    errors, refusals = [], []
    for room in rooms:
        random = np.random.default_rng(1)
        sensed = np.where(random.random(room.metres.shape) < 0.3, random.uniform(0.1, 20.0, room.metres.shape), room.metres)
        with Rig(client, "deep", room.picture, calibration_of(room), depth_image(sensed, "16UC1")) as rig:
            until(lambda: rig.sent > 3)
            reply = until(lambda: (made := rig.estimate()).success and made)
        if reply.scale_valid:
            metres = array_of(reply.depth).astype(float)
            errors.append(float(np.nanmedian(np.abs(metres / room.metres - 1))))
        else:
            refusals.append(reply.message)
    print(f"sensor: {len(errors)} rooms off by {np.median(errors):.3f} in the median; refused: {refusals}")
    assert len(errors) >= N_SCENES * 2 / 3 and np.median(errors) < 0.1, (errors, refusals)


def test_a_height_needs_a_calibration(start, client):
    start(HEIGHT)
    status, values = diagnostic(client, ": scale high", lambda status: "no publisher on /high/camera_info" in status.message)
    assert status.level == b"\1" and values["source"] == "height"
    with client.camera("high"), Topics(client, "high") as topics:
        request = EstimateDepth.Request(seed=-1)
        request.camera = "high"
        reply = until(lambda: (made := client.call(EstimateDepth, "/cooper/estimate_depth", request)).success and made)
        assert reply.message == "no metric depth: no publisher on /high/camera_info; there is no good fit yet"
        assert not any(topics[topic] for topic in Topics.KINDS)


def test_a_height_of_zero_is_refused_at_start(start):
    process = start({"cameras.camera.scale.source": "height"}, ready=False)
    assert process.wait_for_end() == 1
    assert "parameter cameras.camera.scale.height: expected metres above 0 where scale.source is height, got 0" in process.log()

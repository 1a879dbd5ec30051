"""The node as it is installed, with the model that it ships, on rooms that no training has seen."""

import json
import os
import subprocess

import numpy as np
import pytest
from PIL import Image as Picture
from cooper_client import array_of, image
from cooper_perception.action import Reason
from cooper_perception.msg import Evidence
from cooper_perception.srv import Ask, EstimateDepth, GetStatus, Segment
from cooper_process import COMMAND_LINE

N_SCENES = int(os.environ.get("COOPER_SCENES", "6"))
# Model, flow and text settings as a user gets them.
DEFAULTS = {"flow.time_points": None, "generation.max_new_tokens": None, "reasoning.max_turns": None}


class Room:
    """A scene that `cooper scenes` wrote, with its truth."""

    def __init__(self, folder, facts, questions):
        self.facts = facts
        self.picture = np.asarray(Picture.open(folder / facts["image"]))
        stem = facts["image"].removesuffix(".png")
        self.metres = np.asarray(Picture.open(folder / f"{stem}_depth.png")) / 1000.0
        self.ids = np.asarray(Picture.open(folder / f"{stem}_ids.png"))
        self.questions = questions


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rooms")
    subprocess.run([COMMAND_LINE, "scenes", folder, "--n", str(N_SCENES), "--split", "test"], check=True, capture_output=True)
    asked = [json.loads(line) for line in (folder / "qa.jsonl").read_text().splitlines()]
    facts = json.loads((folder / "scenes.json").read_text())
    return [Room(folder, fact, [row for row in asked if row["image"] == fact["image"]]) for fact in facts]


@pytest.fixture
def shipped(start):
    return start(DEFAULTS)


def test_it_is_the_default(shipped, client):
    status = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    assert status.state == "ready" and status.model.endswith("share/cooper_perception/models/cooper-nano")


def test_depth_is_near_the_truth(shipped, client, rooms):
    errors, errors_of_a_constant = [], []
    for room in rooms:
        reply = client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(image=image(room.picture), seed=0))
        assert reply.success, reply.message
        drawn = array_of(reply.depth_relative).astype(float).ravel()
        metres = room.metres.ravel()
        fitted = np.polyval(np.polyfit(drawn, metres, 1), drawn)
        errors.append(np.mean(np.abs(fitted - metres) / metres))
        errors_of_a_constant.append(np.mean(np.abs(np.median(metres) - metres) / metres))
    assert np.mean(errors) < 0.15 < np.mean(errors_of_a_constant), errors


def test_regions_are_objects(shipped, client, rooms):
    overlaps = []
    for room in rooms:
        reply = client.call(Segment, "/cooper/segment", Segment.Request(image=image(room.picture), seed=0))
        assert reply.success, reply.message
        labels = array_of(reply.labels)
        for i in range(len(room.facts["objects"])):
            true = room.ids == 3 + i
            drawn = [labels == region.id for region in reply.regions]
            overlaps.append(max((true & mine).sum() / (true | mine).sum() for mine in drawn))
    assert np.mean(overlaps) > 0.5, overlaps


def test_distances_are_told_from_a_depth_map(shipped, client, rooms):
    is_near = []
    for room in rooms:
        for row in room.questions:
            if row["kind"] != "camera_distance" or row["choices"]:
                continue
            handle, _ = client.send_goal(question=row["question"], image=image(room.picture), mode=Reason.Goal.INTERLEAVED)
            _, result = client.result(handle)
            assert result.status == Reason.Result.ANSWERED, result
            assert [map.kind for map in result.evidence] == [Evidence.DEPTH], "it looks at the depth first"
            is_near.append(abs(float(result.answer.removesuffix(" m")) / row["value"] - 1) <= 0.25)
    # 90 % of the card's test scenes.
    assert len(is_near) >= 5 and np.mean(is_near) >= 0.7, f"{sum(is_near)} of {len(is_near)}"


def test_it_says_what_it_sees(shipped, client, rooms):
    found = []
    for room in rooms:
        request = Ask.Request(question="List the objects.", image=image(room.picture), mode=Ask.Request.DIRECT, seed=-1)
        reply = client.call(Ask, "/cooper/ask", request)
        assert reply.success, reply.message
        found += [thing["color"] in reply.answer for thing in room.facts["objects"]]
    assert np.mean(found) > 0.7, found

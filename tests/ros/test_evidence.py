"""What an answer rests on: its pictures, its maps, its times; several pictures; traces and their replay."""

import contextlib
import hashlib
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from cooper_client import array_of, image, pixels, stamp_of, until
from cooper_perception.action import Reason
from cooper_perception.msg import Answer, Evidence
from cooper_perception.srv import Ask, Measure
from cooper_process import COMMAND_LINE
from test_parameters import set_parameter
from test_topics import diagnostic

PERCEPTION, DIRECT = Ask.Request.PERCEPTION, Ask.Request.DIRECT


def ask(client, **fields):
    return client.call(Ask, "/cooper/ask", Ask.Request(**{"question": "What is near?", "seed": -1, **fields}))


def sha256(array):
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def told(picture):
    return (picture.camera, stamp_of(picture), picture.header.frame_id, picture.width, picture.height, picture.sha256)


def check_times(times, n_turns, maps):
    assert len(times.turn_s) == len(times.turn_tokens) == n_turns
    assert all(0 < n <= 16 for n in times.turn_tokens), "generation.max_new_tokens"
    assert sum(times.turn_s) == pytest.approx(times.text_s, abs=1e-6)
    assert sum(e.duration_s for e in maps) == pytest.approx(times.maps_s, abs=1e-6)
    assert 0.0 < times.prefill_s and times.prefill_s + times.text_s + times.maps_s + times.queue_s <= times.total_s


def check_maps(maps, with_images):
    assert [(e.kind, e.turn, e.picture, e.seed, e.steps) for e in maps] == [
        (Evidence.DEPTH, 0, 0, 11, 3), (Evidence.SEGMENTATION, 0, 0, 11, 3),
    ]
    assert all(stamp_of(e.image) == (7, 8) and (e.image.width > 0) == with_images for e in maps)


def test_every_result_tells_its_picture_maps_and_times(node, client):
    answers, subscription = client.listen(Answer, "/cooper/answer")
    until(lambda: client.node.count_publishers("/cooper/answer") == 1)
    frame = pixels(60, 44)
    expected = [("", (7, 8), "optical", 60, 44, sha256(frame))]

    reply = ask(client, image=image(frame, "bgra8", padding=8), mode=PERCEPTION, seed=11)
    assert reply.success, reply.message
    assert [told(picture) for picture in reply.pictures] == expected, "the hash is of the decoded pixels"
    check_maps(reply.evidence, with_images=False)
    check_times(reply.timings, len(reply.turns), reply.evidence)

    handle, _ = client.send_goal(image=image(frame), mode=PERCEPTION, seed=11)
    _, result = client.result(handle)
    assert [told(picture) for picture in result.pictures] == expected
    check_maps(result.evidence, with_images=True)
    check_times(result.timings, len(result.turns), result.evidence)

    request = Measure.Request(kind=Measure.Request.RELATION, objects=["a", "b"], image=image(frame), mode=PERCEPTION, seed=11)
    measured = client.call(Measure, "/cooper/measure", request)
    assert [told(picture) for picture in measured.pictures] == expected
    check_maps(measured.evidence, with_images=False)

    until(lambda: len(answers) >= 3, message="not every answer was published")
    for answer, (pictures, times) in zip(answers, [(r.pictures, r.timings) for r in (reply, result, measured)]):
        assert (answer.pictures, answer.timings) == (pictures, times)
        check_maps(answer.evidence, with_images=False)
    client.destroy(subscription)


def test_several_pictures_in_one_goal(node, client):
    first, second, third = pixels(60, 44), pixels(40, 56, seed=2), pixels(32, 32, seed=3)
    handle, feedback = client.send_goal(
        image=image(first), further_images=[image(second, stamp=(9, 1), frame_id="left"), image(third, stamp=(9, 2))],
        mode=PERCEPTION, seed=11,
    )
    status, result = client.result(handle)
    assert status == GoalStatus.STATUS_SUCCEEDED, result.error_msg
    assert [told(picture) for picture in result.pictures] == [
        ("", (7, 8), "optical", 60, 44, sha256(first)),
        ("", (9, 1), "left", 40, 56, sha256(second)),
        ("", (9, 2), "optical", 32, 32, sha256(third)),
    ]
    assert stamp_of(result) == (7, 8), "the result's header is that of the first picture"
    alone = client.result(client.send_goal(image=image(third), mode=PERCEPTION, seed=11)[0])[1]
    for map, of_last in zip(result.evidence, alone.evidence):
        assert (map.picture, stamp_of(map.image)) == (2, (9, 2))
        assert array_of(map.image).shape == array_of(of_last.image).shape, "maps have the last picture's size"
        assert map.image != of_last.image, "the others are seen, too"
    assert [stamp_of(news.map) for news in feedback if news.map.width] == [(9, 2), (9, 2)]

    reply = ask(client, image=image(first), further_images=[image(second)], mode=DIRECT)
    assert reply.success and [picture.width for picture in reply.pictures] == [60, 40]


def test_two_cameras_in_one_question(node, client):
    with client.camera("camera", 64, 48) as left, client.packed_camera("packed", "png", 40, 56):
        until(lambda: ask(client, mode=DIRECT).success and ask(client, camera="packed", mode=DIRECT).success)
        reply = ask(client, camera="camera", further_cameras=["packed"], further_images=[image(pixels(20, 20))], mode=DIRECT)
        assert reply.success, reply.message
        assert [picture.camera for picture in reply.pictures] == ["camera", "packed", ""]
        assert left.number_of(reply.pictures[0]) > 0 and stamp_of(reply) == stamp_of(reply.pictures[0])
        assert reply.pictures[1].sha256 == sha256(pixels(40, 56)), "a PNG is decoded without loss"


@pytest.mark.parametrize(
    "fields, code, words",
    [
        (dict(further_cameras=["nowhere"]), Ask.Response.UNKNOWN_CAMERA, "no camera `nowhere`"),
        (dict(further_cameras=["idle"]), Ask.Response.NO_IMAGE, "no publisher on /idle/image_raw"),
        (dict(further_images=[image(pixels()), type(image(pixels()))()]), Ask.Response.INVALID_INPUT, "further_images[1]: expected an image"),
        (dict(further_images=[image(pixels())] * 8), Ask.Response.INVALID_INPUT, "images: expected at most 8 in all, got 9"),
        (dict(further_images=[image(pixels(), "rgb8", padding=0, frame_id="x")], question=""), Ask.Response.INVALID_INPUT, "question: it is empty"),
    ],
)
def test_further_pictures_that_cannot_be_used(node, client, fields, code, words):
    reply = ask(client, image=image(pixels()), **fields)
    assert (reply.success, reply.error_code) == (False, code), reply.message
    assert words in reply.message


def traces_in(folder):
    return sorted(Path(folder).glob("query_*")) if Path(folder).is_dir() else []


def replay(folder):
    done = subprocess.run([COMMAND_LINE, "replay", folder], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_trace_of_each_question_can_be_replayed(start, client, tmp_path):
    folder = tmp_path / "traces"
    node = start({"trace.dir": str(folder), "trace.max_queries": 3})
    first, second = pixels(60, 44), pixels(40, 56, seed=2)
    reply = ask(client, image=image(first), further_images=[image(second)], mode=PERCEPTION, seed=7)
    handle, _ = client.send_goal(image=image(first), seed=8)
    client.result(handle)
    until(lambda: len(traces_in(folder)) == 2, message="no traces")
    trace = json.loads((traces_in(folder)[0] / "trace.json").read_text())
    assert (trace["question"], trace["seed"], trace["mode"], trace["turns"]) == ("What is near?", 7, "perception", reply.turns)
    assert [picture["sha256"] for picture in trace["pictures"]] == [picture.sha256 for picture in reply.pictures]
    assert trace["pictures"][0]["stamp"] == "7.000000008"
    assert [map["steps"] for map in trace["evidence"]] == [3, 3]
    assert trace["seconds"]["queue"] >= 0.0 and len(trace["tokens"][0]) == reply.timings.turn_tokens[0] + 1
    for found in traces_in(folder):
        code, words = replay(found)
        assert code == 0 and "the same: " in words, words

    # Another seed draws another map: the replay fails and says where.
    trace["seed"] = 9
    (traces_in(folder)[0] / "trace.json").write_text(json.dumps(trace))
    code, words = replay(traces_in(folder)[0])
    assert code == 1 and "different: map 1 (depth): " in words

    for _ in range(3):
        ask(client, image=image(first), mode=DIRECT)
    until(lambda: diagnostic(client, "cooper: traces")[1]["written"] == "5", message="traces are missing")
    assert len(traces_in(folder)) == 3, "trace.max_queries"
    status, values = diagnostic(client, "cooper: traces")
    assert (status.level, values["lost"], values["kept"], values["dir"]) == (b"\0", "0", "3", str(folder))

    # A parameter of the running node turns them off.
    assert set_parameter(client, "trace.dir", "").successful
    until(lambda: diagnostic(client, "cooper: traces")[0].message == "traces are off")
    ask(client, image=image(first), mode=DIRECT)
    assert node.is_alive() and len(traces_in(folder)) == 3


def test_traces_have_a_limit_in_bytes(start, client, tmp_path):
    start({"trace.dir": str(tmp_path), "trace.max_megabytes": 1})
    noise = np.random.default_rng(1).integers(0, 256, (500, 500, 3), np.uint8)  # as PNG 0.75 MB
    for n in (1, 2):
        ask(client, image=image(noise), mode=DIRECT)
        until(lambda: diagnostic(client, "cooper: traces")[1]["written"] == str(n), message="a trace is missing")
    _, values = diagnostic(client, "cooper: traces")
    assert values["kept"] == "1" and 700_000 < int(values["kept_bytes"]) < 1_000_000
    assert len(traces_in(tmp_path)) == 1


def test_a_canceled_goal_has_a_trace_of_what_there_was(start, client, tmp_path):
    start({"trace.dir": str(tmp_path), "flow.time_points": 200, "continuous.rate": 0})
    handle, feedback = client.send_goal(image=image(pixels()), mode=PERCEPTION)
    until(lambda: any(news.stage == Reason.Feedback.SEGMENTATION and news.progress > 0 for news in feedback))
    client.wait(handle.cancel_goal_async())
    assert client.result(handle)[0] == GoalStatus.STATUS_CANCELED
    (found,) = until(lambda: traces_in(tmp_path))
    trace = json.loads((found / "trace.json").read_text())
    assert (trace["status"], len(trace["evidence"])) == ("CANCELED", 1)
    code, words = replay(found)
    assert code == 0 and "as far as it went" in words, words


@contextlib.contextmanager
def small_disk(folder):
    """A disk of 64 KiB, where this machine allows to mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def check_lost(client, node, folder, words):
    """A question is answered though its trace is lost, and the loss is told."""
    assert set_parameter(client, "trace.dir", str(folder)).successful
    noise = np.random.default_rng(1).integers(0, 256, (200, 300, 3), np.uint8)
    reply = ask(client, image=image(noise), mode=DIRECT)
    assert reply.success, reply.message
    status, values = diagnostic(client, "cooper: traces", lambda status: words in status.message)
    assert status.level == b"\1" and int(values["lost"]) >= 1 and words in values["why_lost"]
    node.wait_for(words)


def test_a_folder_that_cannot_be_written(start, client, tmp_path):
    node = start()
    taken = tmp_path / "taken"
    taken.write_text("a file")
    check_lost(client, node, taken / "below", "Not a directory")
    # The next one that can be written takes the remark away.
    assert set_parameter(client, "trace.dir", str(tmp_path / "good")).successful
    ask(client, image=image(pixels()), mode=DIRECT)
    status, values = diagnostic(client, "cooper: traces", lambda status: status.level == b"\0")
    assert (values["written"], values["lost"], values["why_lost"]) == ("1", "1", "")


def test_a_full_disk(start, client, tmp_path):
    node = start()
    with small_disk(tmp_path / "disk") as disk:
        check_lost(client, node, disk / "traces", "No space left on device")
        assert list((disk / "traces").iterdir()) == [], "nothing half-written stays"

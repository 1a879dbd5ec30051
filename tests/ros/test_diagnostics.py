"""The values in /diagnostics, key by key, against what was made to happen."""

from cooper_client import image, pixels, until
from cooper_process import MODEL
from cooper_perception.action import Reason
from cooper_perception.srv import GetStatus
from metric_rig import depth_image
from test_metric import HEIGHT, SCALE, SHIFT, WIDTH, deep, metric_node, sensed  # noqa: F401 (fixtures)
from test_topics import diagnostic, stamped_camera


def value(status, key):
    return next(pair.value for pair in status.values if pair.key == key)


def test_the_model_tells_what_it_is(start, client):
    start({"model.dir": str(MODEL)})
    status, values = diagnostic(client, "cooper: model", lambda status: status.message == "ready")
    told = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    assert (values["model"], values["device"], values["dtype"]) == (str(MODEL), "cpu", "f32")
    assert int(values["memory_bytes"]) == told.memory_bytes > 100_000
    assert (status.hardware_id, status.level) == ("cpu", b"\0")


def test_the_model_tells_how_fast_it_is(start, client):
    start({"model.dir": str(MODEL)})
    parts = ("picture_s", "token_s", "flow_step_s", "decode_s")
    # Known from the warm-up on.
    _, values = diagnostic(client, "cooper: model", lambda status: status.message == "ready")
    assert all(0.0 < float(values[part]) < 10.0 for part in parts), values


def test_work_that_waits_is_done_is_refused_or_fails_is_counted(start, client):
    start({"flow.time_points": 1000, "limits.queue": 1, "continuous.rate": 0.0})
    model = lambda good=lambda status: True: diagnostic(client, "cooper: model", good)[1]
    begun = model(lambda status: status.message == "ready")
    assert (begun["queue_length"], begun["queue_limit"], begun["refused"], begun["failed"]) == ("0", "1", "0", "0")
    long = dict(image=image(pixels()), mode=Reason.Goal.PERCEPTION)
    running, news = client.send_goal(**long)
    until(lambda: any(message.stage == Reason.Feedback.DEPTH for message in news))
    waiting, _ = client.send_goal(**long)
    refused, _ = client.send_goal(**long)
    assert waiting.accepted and not refused.accepted
    values = model(lambda status: value(status, "queue_length") == "1" and value(status, "refused") == "1")
    assert values["state"] == "ready"
    for handle in (waiting, running):
        client.wait(handle.cancel_goal_async())
        client.result(handle)
    handle, _ = client.send_goal(image=image(pixels()), mode=Reason.Goal.DIRECT)
    client.result(handle)
    values = model(lambda status: value(status, "queue_length") == "0" and int(value(status, "done")) > int(begun["done"]))
    assert float(values["last_run_s"]) > 0.0 and (values["failed"], values["last_error"]) == ("0", "")
    handle, _ = client.send_goal(image=image(pixels()), question="far " * 3000)
    words = "question: expected at most 8192 characters, got 11999"
    assert client.result(handle)[1].error_msg == words
    values = model(lambda status: value(status, "failed") == "1")
    assert values["last_error"] == words


def test_a_camera_tells_what_it_hears(node, client):
    with stamped_camera(client, 0.0) as camera:
        _, values = diagnostic(client, "cooper: camera camera", lambda status: status.message.startswith("frames arrive"))
        _, later = diagnostic(client, "cooper: camera camera", lambda status: value(status, "frames") != values["frames"])
        assert 0 < int(later["frames"]) - int(values["frames"]) <= camera.sent
    assert (values["topic"], values["width"], values["height"]) == ("/camera/image_raw", "64", "48")
    assert 0.0 <= float(values["age_s"]) < 1.0
    _, aged = diagnostic(client, "cooper: camera camera", lambda status: float(value(status, "age_s")) > 1.0)
    assert aged["publishers"] == "0"
    _, idle = diagnostic(client, "cooper: camera idle")
    assert (idle["age_s"], idle["stamp_age_s"], idle["frames"]) == ("-1", "nan", "0")


def test_a_scale_tells_how_it_was_found(deep, client):  # noqa: F811
    relative = deep.relative()
    deep.reference = depth_image(sensed(relative))
    reply = until(lambda: (made := deep.estimate()).scale_valid and made)
    status, values = diagnostic(client, ": scale deep", lambda status: status.message.startswith("metric depth: "))
    assert status.level == b"\0" and values["source"] == "depth" and values["why_not"] == ""
    assert abs(float(values["scale_m"]) / SCALE - 1) < 0.05 and abs(float(values["shift_m"]) - SHIFT) < 0.1
    assert abs(float(values["inlier_share"]) - reply.inlier_share) < 0.05 and 0.6 < float(values["inlier_share"]) < 0.8
    assert 0.0 < float(values["median_error"]) < 0.06 and 0.0 < float(values["rms_m"]) < 1.0
    assert int(values["points"]) > WIDTH * HEIGHT / 2 and int(values["references"]) > 0 and 0.0 <= float(values["age_s"]) < 5.0
    _, plain = diagnostic(client, ": scale plain")
    assert (plain["source"], plain["scale_m"], plain["points"]) == ("none", "nan", "nan")

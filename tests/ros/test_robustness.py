"""A node under load, given garbage, started wrongly, and stopped."""

import json
import os
import re
import shutil
import signal
import struct
import time

import pytest
from cooper_client import SENSOR, Camera, compressed, image, pixels, until
from cooper_process import MODEL, ROOT
from cooper_perception.action import Reason
from cooper_perception.srv import Ask, EstimateDepth, GetStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from test_topics import diagnostic

MIB = 1024 * 1024


def test_a_burst_leaves_memory_flat_and_the_newest_frame_is_used(start, client):
    """20 publishers' worth of frames at 30 Hz on one camera, while a query runs."""
    process = start({"flow.time_points": 1000, "continuous.rate": 0})
    frame = image(pixels(160, 120))
    with Camera(client, "camera", lambda _: frame, rate=600.0) as camera:
        # Sent is not heard: the node may discover the publisher some frames later.
        until(lambda: client.call(GetStatus, "/cooper/get_status", GetStatus.Request()).cameras[0].rate_hz > 0)
        handle, feedback = client.send_goal(mode=Reason.Goal.PERCEPTION)
        until(lambda: any(message.stage == Reason.Feedback.DEPTH for message in feedback))
        time.sleep(1.0)
        before, sent_before = process.memory(), camera.sent
        time.sleep(6.0)
        after, sent = process.memory(), camera.sent
        status = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
        assert status.queue_length == 0, "the query still runs, nothing waits"
        client.wait(handle.cancel_goal_async())
        client.result(handle)

        newest_before = camera.sent
        handle, feedback = client.send_goal(mode=Reason.Goal.PERCEPTION)
        until(lambda: any(message.stage == Reason.Feedback.PREFILL for message in feedback))
        newest_after = camera.sent
        client.wait(handle.cancel_goal_async())
        _, result = client.result(handle)
    rate = (sent - sent_before) / 6.0
    print(f"{rate:.0f} frames per second sent, memory {before / MIB:.1f} -> {after / MIB:.1f} MiB, node heard {status.cameras[0].rate_hz:.0f} Hz")
    assert rate > 300, "this machine could not send the burst"
    assert after - before < 8 * MIB
    used = camera.number_of(result)
    assert newest_before - 30 <= used <= newest_after


def test_a_queue_of_twenty_cameras(start, client):
    """20 cameras at 30 Hz each: every one is heard, and the node stays small."""
    names = [f"c{i}" for i in range(20)]
    process = start({"cameras": names, "continuous.rate": 0})
    frame = image(pixels(32, 24))
    publishers = [client.node.create_publisher(Image, f"/{name}/image_raw", SENSOR) for name in names]
    end, due, before = time.monotonic() + 5.0, time.monotonic(), None
    while time.monotonic() < end:
        for publisher in publishers:
            publisher.publish(frame)
        due += 1 / 30
        time.sleep(max(0.0, due - time.monotonic()))
        if before is None and end - time.monotonic() < 3.0:
            before = process.memory()
    status = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    grown = process.memory() - before
    for publisher in publishers:
        client.destroy(publisher)
    assert all(camera.rate_hz > 10.0 for camera in status.cameras), [camera.rate_hz for camera in status.cameras]
    assert grown < 8 * MIB


GARBAGE = {
    "wrong encoding": (lambda m: setattr(m, "encoding", "32FC1"), "unsupported encoding `32FC1`: it is depth"),
    "truncated data": (lambda m: setattr(m, "data", b"\1\2\3"), "truncated: expected 9216 bytes"),
    "zero size": (lambda m: (setattr(m, "width", 0), setattr(m, "height", 0)), "its size is 0x0"),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_from_a_camera_is_named(node, client, what):
    spoil, words = GARBAGE[what]
    message = image(pixels())
    spoil(message)
    with Camera(client, "camera", lambda _: message):
        status, values = diagnostic(client, "camera camera", lambda status: words in status.message)
        assert status.level == b"\2" and values["why_silent"] == status.message
        reply = client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1))
        assert reply.error_code == EstimateDepth.Response.NO_IMAGE and words in reply.message
    with client.camera():
        until(lambda: client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1)).success)


@pytest.mark.parametrize("data", [b"", b"not a picture", compressed(pixels()).data[:300]], ids=["empty", "text", "cut"])
def test_a_corrupt_jpeg_is_named(node, client, data):
    message = compressed(pixels())
    message.data = data
    with Camera(client, "packed", lambda _: message, 10.0, CompressedImage, "image_raw/compressed"):
        status, _ = diagnostic(client, "camera packed", lambda status: "cannot be used" in status.message)
        assert "compressed image" in status.message
        reply = client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(camera="packed", seed=-1))
        assert reply.error_code == EstimateDepth.Response.NO_IMAGE and "cannot be used" in reply.message
    with client.packed_camera():
        request = EstimateDepth.Request(camera="packed", seed=-1)
        until(lambda: client.call(EstimateDepth, "/cooper/estimate_depth", request).success)


def test_publishers_that_cannot_be_heard_are_named(start, client):
    start({"cameras.camera.reliability": "reliable"})
    publisher = client.node.create_publisher(Image, "/camera/image_raw", SENSOR)
    status, _ = diagnostic(client, "camera camera", lambda status: "mismatch" in status.message)
    assert "/cooper_test_client (best effort)" in status.message or "offers best effort" in status.message
    assert "set cameras.camera.reliability to best_effort" in status.message
    client.destroy(publisher)
    reliable = client.node.create_publisher(Image, "/camera/image_raw", QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE))
    until(lambda: reliable.get_subscription_count() > 0)
    reliable.publish(image(pixels()))
    request = EstimateDepth.Request(seed=-1)
    until(lambda: client.call(EstimateDepth, "/cooper/estimate_depth", request).success)
    client.destroy(reliable)


def model_copy(tmp_path):
    copy = tmp_path / "model"
    shutil.copytree(MODEL, copy)
    return copy


def reshape_one_tensor(file):
    """Transpose the header's shape of one matrix that is not square."""
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    name = next(n for n, t in header.items() if n != "__metadata__" and len(t["shape"]) == 2 and len(set(t["shape"])) == 2)
    header[name]["shape"].reverse()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    file.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])
    return name


def errors(log):
    return [line for line in log.splitlines() if "ERROR" in line or "panicked" in line]


@pytest.mark.parametrize("missing", ["ema.safetensors", "ae.safetensors", "llm_config.json", "vocab.json"])
def test_a_missing_model_file_ends_the_start(start, tmp_path, missing):
    model = model_copy(tmp_path)
    (model / missing).unlink()
    process = start({"model.dir": str(model)}, ready=False)
    assert process.wait_for_end() == 1
    assert len(errors(process.log())) == 1, process.log()
    assert missing in process.log()


def test_a_tensor_of_a_wrong_shape_ends_the_start(start, tmp_path):
    model = model_copy(tmp_path)
    name = reshape_one_tensor(model / "ema.safetensors")
    process = start({"model.dir": str(model)}, ready=False)
    assert process.wait_for_end() == 1
    assert len(errors(process.log())) == 1 and name in process.log(), process.log()


@pytest.mark.parametrize(
    "parameters, words",
    [
        ({"model.dir": "/no/such/model"}, "/no/such/model"),
        ({"flow.time_points": 0}, "flow.time_points accepts an integer from 2 to 1000, got 0"),
        ({"flow.time_points": 0, "model.device": "tpu"}, "model.device accepts auto, cpu, cuda:N or metal:N"),
        ({"cameras": ["/absolute"]}, "cameras accepts a list of different names"),
        ({"model.quantization": "q2"}, "model.quantization accepts none, q8_0, q4k, q5k"),
        ({"model.device": "cuda:0"}, "cuda"),
    ],
)
def test_bad_parameters_end_the_start(start, parameters, words):
    process = start(parameters, ready=False)
    assert process.wait_for_end() == 1
    assert len(errors(process.log())) == 1 and words in process.log(), process.log()


def test_unknown_parameters_are_named_and_left_aside(start):
    process = start({"flow.time_point": 3})
    assert re.search(r"WARN.*ignoring unknown parameter flow\.time_point\b", process.log())


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_an_idle_node(start, how):
    code, seconds = start().stop(how)
    assert code == 0 and seconds < 2.0


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_working_node(start, client, how):
    process = start({"flow.time_points": 1000})
    handle, feedback = client.send_goal(image=image(pixels()), mode=Reason.Goal.PERCEPTION)
    until(lambda: any(message.stage == Reason.Feedback.DEPTH for message in feedback))
    asked = client.call_async(Ask, "/cooper/ask", Ask.Request(question="Now?", image=image(pixels()), seed=-1))
    time.sleep(0.2)
    result = handle.get_result_async()
    time.sleep(0.2)
    code, seconds = process.stop(how)
    assert code == 0 and seconds < 3.0, process.log()
    assert client.wait(asked).error_code == Ask.Response.CANCELED
    assert client.wait(result).result.status == Reason.Result.CANCELED


def test_a_node_that_is_not_ready_says_so(start, client, tmp_path):
    """Calls are answered from the first moment; what needs the model is refused until it has loaded and warmed up."""
    prompts = tmp_path / "prompts.yaml"
    os.mkfifo(prompts)  # whoever opens it to read waits for a writer
    process = start({"model.prompts_file": str(prompts)}, ready=False)
    request = EstimateDepth.Request(image=image(pixels()), seed=-1)
    state = lambda: client.call(GetStatus, "/cooper/get_status", GetStatus.Request()).state
    assert state() == "loading"
    process.wait_for(": loading model=")
    assert client.call(EstimateDepth, "/cooper/estimate_depth", request).error_code == EstimateDepth.Response.NOT_READY
    handle, _ = client.send_goal(image=image(pixels()))
    assert client.result(handle)[1].error_code == Reason.Result.NOT_READY
    assert state() == "loading"
    prompts.write_bytes((ROOT / "config" / "prompts.yaml").read_bytes())
    process.wait_for(": loaded, warming up")
    process.wait_for(": ready model=")  # what was refused is in the log as "not ready"
    assert state() == "ready"
    assert client.call(EstimateDepth, "/cooper/estimate_depth", request).success

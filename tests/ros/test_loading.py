"""The model goes and comes back: ~/unload_model and ~/load_model, at rest, at work, and with files that cannot be used."""

import os
import shutil

import pytest
from action_msgs.msg import GoalStatus
from cooper_client import image, pixels, until
from cooper_perception.action import Reason
from cooper_perception.srv import Ask, EstimateDepth, GetStatus
from cooper_process import MODEL, ROOT
from sensor_msgs.msg import Image
from std_srvs.srv import Trigger
from test_parameters import get_parameter, set_parameter
from test_robustness import errors, model_copy, reshape_one_tensor
from test_topics import diagnostic

MIB = 1024 * 1024
NANO = ROOT / "models" / "cooper-nano"
LONG = {"flow.time_points": 1000, "continuous.rate": 0}


def trigger(client, name, timeout=60.0):
    return client.call(Trigger, f"/cooper/{name}", Trigger.Request(), timeout)


def status(client):
    return client.call(GetStatus, "/cooper/get_status", GetStatus.Request())


def depth(client, **fields):
    return client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=1, **fields))


def test_unloading_frees_the_memory_and_loading_brings_it_back(start, client):
    process = start()
    picture = image(pixels(320, 240))
    # Pictures are kept beside the model, and go with it.
    for seed in range(30):
        assert depth(client, image=image(pixels(320, 240, seed))).success
    expected = depth(client, image=picture).depth_relative
    before = process.memory()
    reply = trigger(client, "unload_model")
    assert reply.success and "bytes of weights" in reply.message
    after = process.memory()
    told = status(client)
    assert (told.state, told.memory_bytes, told.model) == ("unloaded", 0, "") and "load_model" in told.message
    refused = depth(client, image=picture)
    assert refused.error_code == EstimateDepth.Response.NOT_READY and "~/load_model" in refused.message
    shown, values = diagnostic(client, "cooper: model", lambda status: "unloaded" in status.message)
    assert shown.level == b"\1" and (values["state"], values["memory_bytes"]) == ("unloaded", "0")
    reply = trigger(client, "unload_model")
    assert (reply.success, reply.message) == (True, "no model was loaded")

    reply = trigger(client, "load_model")
    assert reply.success and "is ready after" in reply.message, reply.message
    loaded = process.memory()
    print(f"memory {before / MIB:.1f} -> {after / MIB:.1f} -> {loaded / MIB:.1f} MiB")
    assert before - after > 60 * MIB, "24 MB of weights, and what was kept"
    assert depth(client, image=picture).depth_relative == expected
    reply = trigger(client, "load_model")
    assert reply.success and "is loaded already" in reply.message
    assert status(client).state == "ready"


def test_memory_stays_where_it_is_over_many_loads(start, client):
    process = start()
    sizes = []
    for _ in range(12):
        assert trigger(client, "unload_model").success
        sizes.append(process.memory() / MIB)
        assert trigger(client, "load_model").success
        assert depth(client, image=image(pixels())).success
    print([f"{size:.1f}" for size in sizes])
    assert max(sizes[4:]) - sizes[3] < 8.0


def test_what_runs_and_what_waits_when_the_model_goes(start, client):
    start(LONG)
    picture = image(pixels())
    handle, feedback = client.send_goal(image=picture, mode=Reason.Goal.PERCEPTION)
    until(lambda: any(message.stage == Reason.Feedback.SEGMENTATION for message in feedback), 60.0)
    waiting, _ = client.send_goal(image=picture)
    asked = client.call_async(Ask, "/cooper/ask", Ask.Request(question="Now?", image=picture, seed=-1))
    until(lambda: status(client).queue_length == 2)
    assert trigger(client, "unload_model").success

    ended, result = client.result(handle)
    assert (ended, result.status) == (GoalStatus.STATUS_ABORTED, Reason.Result.CANCELED)
    assert result.error_code == Reason.Result.NOT_READY and "unloaded" in result.error_msg
    assert len(result.evidence) == 1, "the depth map was there"
    ended, result = client.result(waiting)
    assert (ended, result.error_code) == (GoalStatus.STATUS_ABORTED, Reason.Result.NOT_READY)
    assert "unloaded" in result.error_msg
    reply = client.wait(asked)
    assert reply.error_code == Ask.Response.NOT_READY and "unloaded" in reply.message
    handle, _ = client.send_goal(image=picture)
    assert client.result(handle)[1].error_code == Reason.Result.NOT_READY
    assert trigger(client, "load_model").success and status(client).state == "ready"


def test_continuous_maps_stop_and_go_on(start, client):
    process = start()
    with client.camera() as camera:
        maps, subscription = client.listen(Image, "/cooper/camera/depth_relative/image")
        until(lambda: maps)
        assert trigger(client, "unload_model").success
        n_maps, sent = len(maps), camera.sent
        until(lambda: camera.sent > sent + 10)
        assert len(maps) <= n_maps + 1, "one may have been on its way"
        n_maps = len(maps)
        assert trigger(client, "load_model").success
        until(lambda: len(maps) > n_maps + 1, message="no maps after loading")
        client.destroy(subscription)
    assert "cannot make maps of a frame" not in process.log()


def test_unloading_while_it_loads(start, client, tmp_path):
    start()
    prompts = tmp_path / "prompts.yaml"
    os.mkfifo(prompts)  # whoever opens it to read waits for a writer
    assert set_parameter(client, "model.prompts_file", str(prompts)).successful
    assert trigger(client, "unload_model").success
    loading = client.call_async(Trigger, "/cooper/load_model", Trigger.Request())
    until(lambda: status(client).state == "loading")
    unloading = client.call_async(Trigger, "/cooper/unload_model", Trigger.Request())
    refused = depth(client, image=image(pixels()))
    assert refused.error_code == EstimateDepth.Response.NOT_READY
    assert not unloading.done() and not loading.done()
    prompts.write_bytes((ROOT / "config" / "prompts.yaml").read_bytes())
    assert client.wait(unloading).success
    reply = client.wait(loading)
    assert not reply.success and "unloaded before it was ready" in reply.message
    assert status(client).state == "unloaded"
    assert set_parameter(client, "model.prompts_file", "").successful
    assert trigger(client, "load_model").success


def test_another_model_is_loaded_as_the_parameters_say(start, client):
    start({"model.dir": str(MODEL)})
    assert get_parameter(client, "flow.guidance_text") == 4.0
    assert set_parameter(client, "model.dir", str(NANO)).successful
    assert status(client).model == str(MODEL), "until the next load"
    assert trigger(client, "unload_model").success and trigger(client, "load_model").success
    assert status(client).model == str(NANO)
    assert get_parameter(client, "flow.guidance_text") == 1.0, "the new model's own"
    assert get_parameter(client, "flow.time_points") == 4, "set at the start"
    assert depth(client, image=image(pixels())).success
    assert set_parameter(client, "model.quantization", "q8_0").successful
    assert trigger(client, "unload_model").success and trigger(client, "load_model").success
    assert status(client).dtype == "f32+q8_0"


def cut(file):
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


# What is done to a model directory, and words of the reason.
FAULTS = {
    "removed": (shutil.rmtree, ["expected a model directory, found none"]),
    "half-written": (lambda model: cut(model / "ema.safetensors"), ["ema.safetensors"]),
    "half-written header": (lambda model: (model / "ema.safetensors").write_bytes(b"\x40\x42\x0f\0\0\0\0\0{"), ["ema.safetensors"]),
    "wrong file": (lambda model: (model / "ae.safetensors").write_text("not weights\n" * 99), ["ae.safetensors"]),
    "other weights": (lambda model: shutil.copy(model / "ae.safetensors", model / "ema.safetensors"), ["ema.safetensors", "missing"]),
    "wrong shape": (lambda model: reshape_one_tensor(model / "ema.safetensors"), ["ema.safetensors", "expected"]),
    "wrong prompts": (lambda model: (model / "prompts.yaml").write_text("depth_instruction: [1, 2]\n"), ["prompts.yaml"]),
    "no prompts": (lambda model: (model / "prompts.yaml").write_bytes(b"\xff\xfe\0"), ["prompts.yaml"]),
    "wrong config": (lambda model: (model / "llm_config.json").write_text("{"), ["llm_config.json"]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_cannot_be_loaded_again(start, client, tmp_path, fault):
    """What is loaded goes on; loading fails with a reason and leaves the node alive; a later load works."""
    spoil, words = FAULTS[fault]
    model = model_copy(tmp_path)
    process = start({"model.dir": str(model)})
    picture = image(pixels())
    expected = depth(client, image=picture).depth_relative
    spoil(model)
    assert depth(client, image=picture).depth_relative == expected, "what is loaded does not need its files"
    assert trigger(client, "unload_model").success
    reply = trigger(client, "load_model")
    assert not reply.success and all(word in reply.message for word in words), reply.message
    told = status(client)
    assert told.state == "failed" and all(word in told.message for word in words)
    assert told.memory_bytes == 0
    shown, _ = diagnostic(client, "cooper: model", lambda status: status.level == b"\2")
    assert words[0] in shown.message
    refused = depth(client, image=picture)
    assert refused.error_code == EstimateDepth.Response.NOT_READY and words[0] in refused.message
    assert process.is_alive()

    shutil.rmtree(model, ignore_errors=True)
    shutil.copytree(MODEL, model)
    assert trigger(client, "load_model").success
    assert depth(client, image=picture).depth_relative == expected


@pytest.mark.parametrize("fault", FAULTS)
def test_a_model_that_cannot_be_loaded_ends_the_start(start, tmp_path, fault):
    spoil, words = FAULTS[fault]
    model = model_copy(tmp_path)
    spoil(model)
    process = start({"model.dir": str(model)}, ready=False)
    assert process.wait_for_end() == 1
    assert len(errors(process.log())) == 1, process.log()
    assert all(word in process.log() for word in words), process.log()

"""What a parameter does, where no other file sees it: model, words, the way a map is drawn."""

import json
import math
import shutil
import tempfile
from pathlib import Path

import pytest
from cooper_client import image, pixels
from cooper_process import MODEL
from cooper_perception.action import Reason
from cooper_perception.srv import Ask, EstimateDepth, GetStatus
from std_srvs.srv import Trigger
from test_parameters import get_parameter, set_parameter


def depth(client):
    """The map of one picture, its seed fixed."""
    request = EstimateDepth.Request(image=image(pixels()), seed=3)
    reply = client.call(EstimateDepth, "/cooper/estimate_depth", request)
    assert reply.success, reply.message
    return reply.depth_relative


@pytest.fixture
def change(node, client):
    """Set a parameter of the shared node for the length of a test."""
    before = {}

    def change(name, value):
        kept = get_parameter(client, name)
        before.setdefault(name, kept if isinstance(kept, (str, int, float)) else list(kept))
        result = set_parameter(client, name, value)
        assert result.successful, result.reason

    yield change
    for name, value in before.items():
        assert set_parameter(client, name, value).successful


def test_which_model_is_loaded_and_how(start, client):
    start({"model.dir": str(MODEL), "model.device": "cpu", "model.dtype": "bf16"})
    status = client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    assert (status.model, status.device, status.dtype) == (str(MODEL), "cpu", "bf16")
    depth(client)


def test_matrices_are_quantised_at_the_next_load(node, client, change):
    exact = depth(client)
    told = lambda: client.call(GetStatus, "/cooper/get_status", GetStatus.Request())
    plain = told()
    try:
        change("model.quantization", "q8_0")
        assert client.call(Trigger, "/cooper/load_model", Trigger.Request()).success
        # What is loaded stays as it is until it is unloaded.
        assert told().dtype == "f32"
        for service in ("unload_model", "load_model"):
            assert client.call(Trigger, f"/cooper/{service}", Trigger.Request()).success
        quantised = told()
        assert (quantised.dtype, plain.dtype) == ("f32+q8_0", "f32")
        assert quantised.memory_bytes < plain.memory_bytes
        assert depth(client) != exact
    finally:
        change("model.quantization", "none")
        for service in ("unload_model", "load_model"):
            assert client.call(Trigger, f"/cooper/{service}", Trigger.Request()).success
    assert depth(client) == exact


def test_weights_may_lie_elsewhere(start, client, tmp_path):
    start({"model.dir": str(MODEL)})
    expected = depth(client)
    model, weights = tmp_path / "model", tmp_path / "elsewhere.safetensors"
    shutil.copytree(MODEL, model)
    (model / "ema.safetensors").rename(weights)
    start({"model.dir": str(model), "model.weights": str(weights)})
    assert depth(client) == expected


def test_a_model_that_does_not_fit_is_refused_unless_somebody_insists(start):
    # Files on /dev/shm may have any size; these embeddings have more bytes than a process can address.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        model = Path(folder) / "model"
        shutil.copytree(MODEL, model)
        widen(model, vocab_size=1 << 24, hidden_size=1 << 23)
        for insists, words in ((False, "of free memory"), (True, "annot allocate memory")):
            process = start({"model.dir": str(model), "model.ignore_memory": insists}, ready=False)
            assert process.wait_for_end() == 1
            assert words in process.log()


def widen(model, **sizes):
    """Give the language model other sizes, and its tensors shapes and places that fit, of which no byte is there."""
    config = json.loads((model / "llm_config.json").read_text())
    keys = config["num_key_value_heads"] / config["num_attention_heads"]
    renamed = {config[name]: size for name, size in sizes.items()}
    old, new = config["hidden_size"], sizes["hidden_size"]
    renamed |= {old * keys: int(new * keys), old / config["num_attention_heads"]: new // config["num_attention_heads"]}
    (model / "llm_config.json").write_text(json.dumps(config | sizes))
    weights = model / "ema.safetensors"
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    end = 0
    for name, tensor in header.items():
        # What reads or writes latents has as many numbers on its other side.
        if name in ("vae2llm.weight", "llm2vae.weight", "llm2vae.bias"):
            other = {"vae2llm.weight": [new, old], "llm2vae.weight": [old, new], "llm2vae.bias": [old]}
            tensor["shape"] = other[name]
        elif not name.startswith("vit_model."):
            tensor["shape"] = [renamed.get(n, n) for n in tensor["shape"]]
        begin, end = end, end + 4 * math.prod(tensor["shape"])
        tensor["data_offsets"] = [begin, end]
    text = json.dumps(header).encode()
    with weights.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.truncate(8 + len(text) + end)


FLOW = {
    "guidance_text": 1.0,
    "guidance_image": 1.0,
    "guidance_interval": [0.0, 0.1],
    "renorm": "global",
    "renorm_min": 1.0,
    "timestep_shift": 1.0,
}


@pytest.mark.parametrize("leaf", FLOW)
def test_a_flow_setting_changes_the_map(change, client, leaf):
    # The shipped model's own settings are without guidance.
    change("flow.guidance_text", 4.0)
    change("flow.guidance_image", 2.0)
    guided = depth(client)
    change(f"flow.{leaf}", FLOW[leaf])
    assert depth(client) != guided


def words(client, seed):
    request = Ask.Request(question="List the objects.", image=image(pixels()), mode=Ask.Request.TEXT, seed=seed)
    reply = client.call(Ask, "/cooper/ask", request)
    assert reply.success, reply.message
    return reply.text


def test_words_are_drawn_by_temperature_and_top_p(change, client):
    likeliest = words(client, 1)
    assert words(client, 2) == likeliest, "without a temperature, seeds draw the same"
    change("generation.temperature", 10.0)
    drawn = {words(client, seed) for seed in range(4)}
    assert len(drawn) > 1 and words(client, 1) == words(client, 1)
    change("generation.top_p", 1e-6)
    assert {words(client, seed) for seed in range(4)} == {likeliest}, "only the likeliest token is left"


def test_a_turn_has_so_many_tokens(change, client):
    def asked():
        handle, _ = client.send_goal(image=image(pixels()), mode=Reason.Goal.TEXT)
        return client.result(handle)[1]

    change("generation.max_new_tokens", 2)
    short = asked()
    assert short.status == Reason.Result.TRUNCATED
    change("generation.max_new_tokens", 64)
    assert len(asked().text) > len(short.text)


def test_turns_are_limited(change, client):
    change("reasoning.mode", "interleaved")
    change("reasoning.max_turns", 1)
    handle, _ = client.send_goal(image=image(pixels()), question="How far is the red box?")
    assert len(client.result(handle)[1].turns) == 1
    change("reasoning.max_turns", 3)
    change("generation.max_new_tokens", 100)
    handle, _ = client.send_goal(image=image(pixels()), question="How far is the red box?")
    assert len(client.result(handle)[1].turns) > 1, "the shipped model draws a map before it tells a distance"

"""Every parameter: declared with its default and description, refused with its name when bad, in effect when set."""

import json
import re

import pytest
import yaml
from cooper_client import image, pixels, until
from cooper_process import QUICK, ROOT
from cooper_perception.action import Reason
from cooper_perception.srv import EstimateDepth
from rcl_interfaces.msg import Parameter, ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.parameter import parameter_value_to_python


def flat(tree, prefix=""):
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


TEXT = (ROOT / "config" / "cooper.yaml").read_text()
# The file tells those of `flow` but does not set them: the shipped model has its own.
TOLD = TEXT.replace("    #flow:", "    flow:").replace("    #  ", "      ")
FLOW = json.loads((ROOT / "models" / "cooper-nano" / "flow_config.json").read_text())
CONFIG = dict(flat(yaml.safe_load(TOLD)["/**"]["ros__parameters"])) | dict(flat({"flow": FLOW}))

# Those of each camera.
CAMERA = {
    "transport": "raw",
    "reliability": "best_effort",
    "rectified": False,
    "scale.source": "none",
    "scale.tolerance": 0.05,
    "scale.min_points": 50,
    "scale.inlier_error": 0.15,
    "scale.min_inlier_share": 0.5,
    "scale.max_median_error": 0.06,
    "scale.height": 0.0,
    "scale.tilt_known": False,
    "scale.pitch": 0.0,
    "scale.roll": 0.0,
    "scale.time_constant": 3.0,
    "scale.max_jump": 0.2,
    "scale.persist": 3,
    "scale.max_age": 10.0,
}


def set_parameter(client, name, value):
    parameter = RclpyParameter(name, value=value).to_parameter_msg()
    reply = client.call(SetParameters, "/cooper/set_parameters", SetParameters.Request(parameters=[parameter]))
    return reply.results[0]


def get_parameter(client, name):
    reply = client.call(GetParameters, "/cooper/get_parameters", GetParameters.Request(names=[name]))
    return parameter_value_to_python(reply.values[0])


def test_all_are_listed_and_described(node, client):
    names = list(client.call(ListParameters, "/cooper/list_parameters", ListParameters.Request()).result.names)
    cameras = {f"cameras.{n}.{leaf}" for n in ("camera", "packed", "idle") for leaf in CAMERA}
    assert set(names) == set(CONFIG) | cameras | {"use_sim_time"}
    reply = client.call(DescribeParameters, "/cooper/describe_parameters", DescribeParameters.Request(names=names))
    told = {descriptor.name: descriptor.description for descriptor in reply.descriptors}
    assert set(told) == set(names) and all(" Accepts " in text for text in told.values())
    assert told["flow.time_points"].endswith(" Accepts an integer from 2 to 1000; also while running.")
    assert told["model.dir"].endswith(" Accepts a string; at start and for the next ~/load_model.")
    assert told["cameras.camera.transport"].endswith(" Accepts raw, compressed; at start only.")


@pytest.mark.parametrize("name", sorted(set(CONFIG) - set(QUICK) - {"cameras"}))
def test_defaults_are_those_of_the_shipped_file(node, client, name):
    value = get_parameter(client, name)
    assert (list(value) if isinstance(CONFIG[name], list) else value) == CONFIG[name]


@pytest.mark.parametrize("leaf", CAMERA)
def test_defaults_of_a_camera(node, client, leaf):
    assert get_parameter(client, f"cameras.idle.{leaf}") == CAMERA[leaf]
    assert re.search(rf"# cameras\.N\.{leaf}: {re.escape(json.dumps(CAMERA[leaf]))} ", TEXT), "told in the shipped file"


def test_the_shipped_file_can_be_loaded(start):
    process = start(arguments=["--params-file", str(ROOT / "config" / "cooper.yaml")])
    assert "ignoring unknown parameter" not in process.log()


BAD_VALUES = [
    ("generation.max_new_tokens", 0, "an integer from 1 to 65536, got 0"),
    ("generation.max_new_tokens", 5.5, "an integer from 1 to 65536, got 5.5"),
    ("generation.temperature", -0.1, "a number from 0 to 10"),
    ("generation.top_p", 1.5, "a number from 0 to 1"),
    ("reasoning.mode", "loud", "interleaved, text, perception, direct"),
    ("reasoning.max_turns", 0, "an integer from 1 to 100"),
    ("flow.time_points", 1, "an integer from 2 to 1000, got 1"),
    ("flow.time_points", "many", "an integer from 2 to 1000, got \"many\""),
    ("flow.guidance_text", 0.5, "a number from 1 to 100"),
    ("flow.guidance_image", 1000.0, "a number from 1 to 100"),
    ("flow.guidance_interval", [0.9, 0.1], "two numbers from 0 to 1, the first not above the second"),
    ("flow.guidance_interval", [0.9], "two numbers"),
    ("flow.renorm", "none", "global, channel, text_channel"),
    ("flow.renorm_min", 2.0, "a number from 0 to 1"),
    ("flow.timestep_shift", 0.0, "a number from 0.01 to 100"),
    ("flow.cache_threshold", 1.5, "a number from 0 to 1"),
    ("flow.profile", "fast", "paper, realtime"),
    ("seed", -1, "an integer from 0"),
    ("continuous.rate", -1.0, "a number from 0 to 100"),
    ("limits.image_age", -1.0, "a number from 0"),
    ("depth.encoding", "64FC1", "32FC1, 16UC1"),
    ("depth.min_range", -1.0, "a number from 0 to 1000"),
    ("depth.max_range", 1e9, "a number from 0 to 1000"),
    ("depth.confidence_samples", 1, "an integer from 2 to 16, got 1"),
    ("depth.confidence_deviation", 0.0, "a number from 0.001 to 1"),
    ("cameras.idle.scale.source", "guess", "none, depth, height"),
    ("cameras.idle.scale.source", "depth", "at start only"),
    ("cameras.idle.rectified", True, "at start only"),
    ("cameras.idle.scale.tolerance", -0.1, "a number from 0 to 10"),
    ("cameras.idle.scale.min_points", 1, "an integer from 2 to 1000000"),
    ("cameras.idle.scale.inlier_error", 0.6, "a number from 0.001 to 0.5"),
    ("cameras.idle.scale.min_inlier_share", 1.1, "a number from 0 to 1"),
    ("cameras.idle.scale.max_median_error", -0.1, "a number from 0 to 0.5"),
    ("cameras.idle.scale.height", -1.0, "a number from 0 to 1000"),
    ("cameras.idle.scale.tilt_known", 1, "true or false"),
    ("cameras.idle.scale.pitch", 2.0, "a number from -1.5 to 1.5"),
    ("cameras.idle.scale.roll", float("nan"), "a number from -1.5 to 1.5"),
    ("cameras.idle.scale.time_constant", -1.0, "a number from 0 to 3600"),
    ("cameras.idle.scale.max_jump", 2.1, "a number from 0 to 2"),
    ("cameras.idle.scale.persist", 0, "an integer from 1 to 1000"),
    ("cameras.idle.scale.max_age", -1.0, "a number from 0 to 86400"),
    ("trace.max_queries", 0, "an integer from 1 to 100000"),
    ("trace.max_megabytes", 0, "an integer from 1 to 10000000"),
    ("model.device", "tpu", "auto, cpu, cuda:N or metal:N"),
    ("model.quantization", "q2", "none, q8_0, q4k, q5k"),
    ("cameras", ["left"], "at start only"),
    ("limits.queue", 3, "at start only"),
    ("cameras.camera.transport", "compressed", "at start only"),
    ("no.such.parameter", 1, "no.such.parameter"),
]


@pytest.mark.parametrize("name, value, words", BAD_VALUES)
def test_a_bad_value_is_refused_by_name(node, client, name, value, words):
    result = set_parameter(client, name, value)
    assert not result.successful
    assert name in result.reason and words in result.reason


GOOD_VALUES = {
    "generation.max_new_tokens": 17,
    "generation.temperature": 0.7,
    "generation.top_p": 0.9,
    "reasoning.mode": "text",
    "reasoning.max_turns": 2,
    "flow.time_points": 5,
    "flow.guidance_text": 3.0,
    "flow.guidance_image": 1.5,
    "flow.guidance_interval": [0.4, 1.0],
    "flow.renorm": "global",
    "flow.renorm_min": 0.1,
    "flow.timestep_shift": 2.0,
    "seed": 99,
    "continuous.rate": 2.0,
    "limits.image_age": 4.0,
    "depth.encoding": "16UC1",
    "depth.min_range": 0.3,
    "depth.max_range": 8.0,
    "depth.confidence_samples": 3,
    "depth.confidence_deviation": 0.1,
    "trace.dir": "/tmp/cooper_traces",
    "trace.max_queries": 7,
    "trace.max_megabytes": 20,
    "cameras.idle.scale.tolerance": 0.1,
    "cameras.idle.scale.min_points": 20,
    "cameras.idle.scale.inlier_error": 0.2,
    "cameras.idle.scale.min_inlier_share": 0.4,
    "cameras.idle.scale.max_median_error": 0.1,
    "cameras.idle.scale.height": 1.2,
    "cameras.idle.scale.tilt_known": True,
    "cameras.idle.scale.pitch": 0.3,
    "cameras.idle.scale.roll": -0.1,
    "cameras.idle.scale.time_constant": 0.0,
    "cameras.idle.scale.max_jump": 0.5,
    "cameras.idle.scale.persist": 5,
    "cameras.idle.scale.max_age": 3.0,
}


@pytest.mark.parametrize("name", GOOD_VALUES)
def test_a_good_value_is_taken_while_running(node, client, name):
    before, value = get_parameter(client, name), GOOD_VALUES[name]
    result = set_parameter(client, name, value)
    assert result.successful, result.reason
    now = get_parameter(client, name)
    assert (list(now) if isinstance(value, list) else now) == value
    assert set_parameter(client, name, list(before) if isinstance(value, list) else before).successful


def test_an_integer_is_taken_where_a_float_is_meant(node, client):
    assert set_parameter(client, "continuous.rate", 3).successful
    assert get_parameter(client, "continuous.rate") == 3.0
    assert set_parameter(client, "continuous.rate", QUICK["continuous.rate"]).successful


def test_all_or_none(node, client):
    good = RclpyParameter("seed", value=5).to_parameter_msg()
    bad = RclpyParameter("flow.time_points", value=0).to_parameter_msg()
    request = SetParametersAtomically.Request(parameters=[good, bad])
    result = client.call(SetParametersAtomically, "/cooper/set_parameters_atomically", request).result
    assert not result.successful and "flow.time_points" in result.reason
    assert get_parameter(client, "seed") == 0


def test_nothing_is_unset(node, client):
    parameter = Parameter(name="seed")
    parameter.value.type = ParameterType.PARAMETER_NOT_SET
    reply = client.call(SetParameters, "/cooper/set_parameters", SetParameters.Request(parameters=[parameter]))
    assert not reply.results[0].successful


def test_values_hold_for_the_next_request(node, client):
    def depth():
        request = EstimateDepth.Request(image=image(pixels()), seed=-1)
        return client.call(EstimateDepth, "/cooper/estimate_depth", request).depth_relative

    def steps():
        handle, _ = client.send_goal(image=image(pixels()), mode=Reason.Goal.PERCEPTION)
        return [evidence.steps for evidence in client.result(handle)[1].evidence]

    first = depth()
    assert set_parameter(client, "seed", 42).successful
    assert depth() != first
    assert set_parameter(client, "seed", 0).successful
    assert depth() == first
    assert set_parameter(client, "flow.time_points", 7).successful
    assert steps() == [6, 6]
    assert set_parameter(client, "flow.time_points", QUICK["flow.time_points"]).successful
    assert steps() == [3, 3]
    assert set_parameter(client, "reasoning.mode", "perception").successful
    handle, _ = client.send_goal(image=image(pixels()))
    assert len(client.result(handle)[1].evidence) == 2, "mode 0 is the configured one"
    assert set_parameter(client, "reasoning.mode", "interleaved").successful


def test_frames_may_be_too_old(node, client):
    until(lambda: client.node.count_publishers("/camera/image_raw") == 0)
    with client.camera():
        until(lambda: client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1)).success)
    assert set_parameter(client, "limits.image_age", 0.2).successful

    def refused():
        reply = client.call(EstimateDepth, "/cooper/estimate_depth", EstimateDepth.Request(seed=-1))
        return reply if reply.error_code == EstimateDepth.Response.NO_IMAGE else None

    reply = until(refused)
    assert "s old, and limits.image_age is 0.2 s" in reply.message
    assert set_parameter(client, "limits.image_age", 5.0).successful

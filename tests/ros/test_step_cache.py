"""The step cache and the profile that uses it, in the running node."""

import numpy as np
from cooper_client import array_of
from cooper_perception.srv import GetStatus
from cooper_process import MODEL
from std_srvs.srv import Trigger
from test_effects import change, depth  # noqa: F401 (a fixture)
from test_parameters import get_parameter, set_parameter
from test_topics import diagnostic

MANY = 50


def model_status(client, good=lambda status: True):
    return diagnostic(client, "cooper: model", good)


def says(key, value):
    return lambda status: any((pair.key, pair.value) == (key, value) for pair in status.values)


def test_steps_are_forecast_and_the_map_is_nearly_the_same(node, client, change):  # noqa: F811
    for leaf, value in [("time_points", MANY), ("guidance_text", 4.0), ("guidance_image", 2.0)]:
        change(f"flow.{leaf}", value)
    exact = depth(client)
    model_status(client, says("step_cache", "off"))
    change("flow.cache_threshold", 0.1)
    cached = depth(client)
    off = np.abs(array_of(cached) - array_of(exact)).mean()
    assert 0.0 < off < 0.01, off
    status, _ = model_status(client, says("step_cache", "on"))
    assert status.level == b"\0"
    assert "the step cache (flow.cache_threshold 0.1) is used" in node.log()


def test_realtime_is_fewer_steps_with_a_cache(start, client):
    flow = ("flow.time_points", "flow.cache_threshold", "flow.guidance_text", "flow.guidance_image")
    numbers = lambda: [get_parameter(client, name) for name in flow]
    start({"model.dir": str(MODEL), "flow.time_points": None, "flow.profile": "realtime", "continuous.rate": 0.0})
    assert numbers() == [10, 0.2, 4.0, 2.0], "guided as before"
    model_status(client, says("step_cache", "on"))
    depth(client)
    assert set_parameter(client, "flow.profile", "paper").successful
    for service in ("unload_model", "load_model"):
        assert client.call(Trigger, f"/cooper/{service}", Trigger.Request()).success
    assert numbers() == [50, 0.0, 4.0, 2.0]
    model_status(client, says("step_cache", "off"))


def test_a_cache_that_fails_is_turned_off_and_says_so(start, client):
    process = start({"model.dir": str(MODEL), "flow.time_points": MANY, "flow.cache_threshold": 1.0, "continuous.rate": 0.0})
    words = "the step cache (flow.cache_threshold 1) is turned off, and all steps are computed"
    status, _ = model_status(client, says("step_cache", "turned off"))
    assert status.level == b"\1" and words in status.message, status.message
    assert words in process.log()
    assert words in client.call(GetStatus, "/cooper/get_status", GetStatus.Request()).message
    cached = depth(client)
    assert set_parameter(client, "flow.cache_threshold", 0.0).successful
    assert depth(client) == cached
    status, _ = model_status(client, says("step_cache", "off"))
    assert status.level == b"\0"

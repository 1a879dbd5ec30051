"""Metric depth: planted scales are found, clouds are seen at their pixels, and whatever silences them is said."""

import math
import time

import numpy as np
import pytest
from cooper_client import array_of, image, pixels, stamp_of, until
from cooper_perception.srv import EstimateDepth
from metric_rig import LATCHED, Rig, Topics, calibration, depth_image, points_of, projected
from rcl_interfaces.msg import Log
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from test_parameters import get_parameter, set_parameter
from test_topics import diagnostic

WIDTH, HEIGHT = 64, 48
SCALE, SHIFT = 6.0, 0.8
CAMERAS = {"cameras": ["deep", "plain"], "cameras.deep.scale.source": "depth"}


@pytest.fixture
def metric_node(shared_node):
    process = shared_node.run(CAMERAS)
    yield process
    assert process.is_alive(), process.log()


@pytest.fixture
def deep(metric_node, client):
    """A rig on the camera `deep`, whose parameters are put back."""
    with Rig(client, "deep", pixels(WIDTH, HEIGHT), calibration(WIDTH, HEIGHT)) as rig:
        before = {}

        def change(leaf, value):
            name = leaf if leaf.startswith("depth.") else f"cameras.deep.scale.{leaf}"
            before.setdefault(name, get_parameter(client, name))
            result = set_parameter(client, name, value)
            assert result.successful, result.reason

        rig.change = change
        # Each fit is taken as it is: another test's scale would stand in, be smoothed in, or make it a jump.
        change("max_age", 0.0)
        change("time_constant", 0.0)
        change("max_jump", 2.0)
        yield rig
        for name, value in before.items():
            assert set_parameter(client, name, value).successful


def sensed(relative, outliers=0.3, kept=1.0, noise=0.02, seed=1):
    """What a sensor with noise and outliers says where the planted line holds."""
    random = np.random.default_rng(seed)
    metres = (SCALE * relative + SHIFT) * (1.0 + noise * random.standard_normal(relative.shape))
    wrong = random.random(relative.shape) < outliers
    metres[wrong] = random.uniform(0.1, 20.0, wrong.sum())
    metres[random.random(relative.shape) >= kept] = np.nan
    return metres


def told(client, words, camera="deep"):
    """Wait until the diagnostics of a camera's scale say these words; the status and its values."""
    return diagnostic(client, f": scale {camera}", lambda status: words in status.message)


REFERENCES = {
    "dense metres": {},
    "dense millimetres, big-endian, padded": dict(encoding="16UC1", padding=10, big_endian=True),
    "big-endian metres, padded": dict(padding=4, big_endian=True),
    "a third of the points": dict(kept=0.33),
}


@pytest.mark.parametrize("what", REFERENCES)
def test_a_planted_scale_is_found_among_outliers(deep, client, what):
    layout = dict(REFERENCES[what])
    relative = deep.relative()
    deep.reference = depth_image(sensed(relative, kept=layout.pop("kept", 1.0)), **layout)
    reply = until(lambda: (made := deep.estimate()).scale_valid and made, message="no scale")
    assert abs(reply.scale / SCALE - 1) < 0.01, reply.scale
    truth = SCALE * relative + SHIFT
    metres = array_of(reply.depth)
    assert metres.shape == relative.shape and np.abs(metres / truth - 1).max() < 0.01
    assert np.allclose(metres, reply.scale * relative + reply.shift, rtol=1e-5)
    assert reply.scale_age_s == 0.0 and 0.6 < reply.inlier_share < 0.85 and 0.0 < reply.median_error < 0.03
    assert reply.message == ""


def test_the_metric_topics_are_one(deep, client):
    relative = deep.relative()
    deep.reference = depth_image(sensed(relative))
    with Topics(client, "deep") as topics:
        depth = topics.next("depth/image")
        stamp = stamp_of(depth)
        of_frame = lambda topic: until(lambda: [m for m in topics[topic] if stamp_of(m) == stamp], message=topic)[0]
        info, cloud = of_frame("depth/camera_info"), of_frame("points")
    assert depth.encoding == "32FC1" and depth.header == info.header == cloud.header
    assert depth.header.frame_id == "optical"
    metres = array_of(depth).astype(float)
    assert np.abs(metres / (SCALE * relative + SHIFT) - 1).max() < 0.01
    sizes = {(message.width, message.height) for message in (depth, info, cloud)}
    assert sizes == {(WIDTH, HEIGHT)}
    xyz, rgb = points_of(cloud)
    assert np.array_equal(xyz[..., 2], metres) and np.array_equal(rgb, deep.picture)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    off = projected(xyz, info.k) - np.stack([columns, rows], axis=-1)
    assert np.linalg.norm(off, axis=-1).max() < 0.5
    assert np.linalg.norm(off, axis=-1).max() < 0.001, "to rounding"
    status, values = told(client, "metric depth: ")
    assert status.level == b"\0" and values["source"] == "depth"
    assert abs(float(values["scale_m"]) / SCALE - 1) < 0.01 and 0.6 < float(values["inlier_share"]) < 0.85
    assert 0.0 < float(values["median_error"]) < 0.03 and 0.0 <= float(values["age_s"]) < 5.0
    assert float(values["rms_m"]) > 0 and int(values["points"]) > 1000 and int(values["references"]) > 0
    heard = deep.status()
    assert (heard.scale_source, heard.scale_valid, heard.why_no_scale) == ("depth", True, "")
    assert abs(heard.scale / SCALE - 1) < 0.01 and 0.0 <= heard.scale_age_s < 5.0
    assert 0.6 < heard.inlier_share < 0.85 and 0.0 < heard.median_error < 0.03


def test_without_a_source_there_are_no_metres(metric_node, client):
    assert not [name for name, _ in client.node.get_topic_names_and_types() if name == "/cooper/plain/depth/image"]
    with Rig(client, "plain", pixels(WIDTH, HEIGHT), calibration(WIDTH, HEIGHT)) as rig:
        reply = until(lambda: (made := rig.estimate()).success and made)
        assert not reply.scale_valid and reply.depth.width == 0 and math.isnan(reply.scale) and math.isnan(reply.scale_age_s)
        assert reply.message == "no metric depth: cameras.plain.scale.source is none"
        heard = rig.status()
    status, _ = told(client, "cameras.plain.scale.source is none", "plain")
    assert status.level == b"\0", "nobody wants it"
    assert (heard.scale_source, heard.scale_valid, heard.why_no_scale) == ("none", False, "cameras.plain.scale.source is none")


@pytest.mark.parametrize("topic", Topics.KINDS)
def test_any_of_the_topics_is_enough(deep, client, topic):
    deep.reference = depth_image(SCALE * deep.relative() + SHIFT)
    with Topics(client, "deep", [topic]) as topics:
        made = topics.next(topic)
    assert (made.width, made.height) == (WIDTH, HEIGHT)


def test_metres_nobody_listens_to_are_not_made(deep, client):
    deep.reference = depth_image(SCALE * deep.relative() + SHIFT)
    until(lambda: client.node.count_subscribers("/cooper/deep/points") == 0)
    time.sleep(0.3)
    done = lambda: diagnostic(client, ": model", lambda status: status.message == "ready")[1]["done"]
    before = done()
    time.sleep(1.0)
    assert done() == before


def test_a_picture_of_a_request_has_no_scale(metric_node, client):
    request = EstimateDepth.Request(image=image(pixels()), seed=-1)
    reply = client.call(EstimateDepth, "/cooper/estimate_depth", request)
    assert reply.success and not reply.scale_valid
    assert reply.message.startswith("no metric depth: an image inside a request has no camera")


SPOILED = {
    "NaN and infinity": (lambda metres: np.where(np.indices(metres.shape).sum(0) % 2, np.nan, np.inf), "too few points with depth: expected at least 50, got 0"),
    "zero and negative": (lambda metres: np.where(np.indices(metres.shape).sum(0) % 2, 0.0, -3.0), "too few points with depth: expected at least 50, got 0"),
    "another scene": (lambda metres: np.random.default_rng(3).uniform(0.2, 20.0, metres.shape), "of the points fit one scale, expected at least 50 %"),
    "upside down": (lambda metres: 8.0 - metres, "expected above 0: the map says near where it should say far"),
    "all the same": (lambda metres: np.full_like(metres, 2.0), "expected"),
    "another shape": (lambda metres: np.ones((HEIGHT, HEIGHT)), f"expected one registered to the camera's image of {WIDTH} x {HEIGHT}, got {HEIGHT} x {HEIGHT}"),
}


@pytest.mark.parametrize("what", SPOILED)
def test_a_bad_reference_silences_the_metric_topics(deep, client, what):
    spoil, words = SPOILED[what]
    relative = deep.relative()
    good = depth_image(sensed(relative, outliers=0.0))
    deep.reference = depth_image(spoil(sensed(relative, outliers=0.0)))
    with Topics(client, "deep") as topics:
        reply = until(lambda: (made := deep.estimate()).success and not made.scale_valid and words in made.message and made)
        assert reply.depth.width == 0 and math.isnan(reply.scale) and array_of(reply.depth_relative).shape == relative.shape
        status, values = told(client, words)
        assert status.level == b"\1" and words in values["why_not"] and values["scale_m"] == "nan"
        heard = deep.status()
        assert not heard.scale_valid and words in heard.why_no_scale and math.isnan(heard.scale)
        topics.forget()
        time.sleep(0.5)
        assert not any(topics[topic] for topic in Topics.KINDS), "a bad fit silences all of them"
        deep.reference = good
        topics.next("points")
    told(client, "metric depth: 6.0")


def test_a_reference_of_another_frame_is_doubted(deep, client):
    deep.reference = depth_image(SCALE * deep.relative() + SHIFT)
    deep.reference.header.frame_id = "depth_optical"
    with Topics(client, "deep", ["depth/image"]) as topics:
        topics.next("depth/image")
        status, _ = told(client, "the frame of /deep/depth_reference is `depth_optical`, the image's `optical`")
    assert status.level == b"\1"


def test_wrong_encodings_are_named(deep, client):
    deep.reference = image(pixels(WIDTH, HEIGHT), "mono8")
    reply = until(lambda: (made := deep.estimate()).success and "mono8" in made.message and made)
    assert "reference depth: unsupported encoding `mono8`; expected 16UC1 or 32FC1" in reply.message


def test_a_jump_has_no_metres_until_it_is_believed(deep, client):
    deep.change("max_age", 10.0)
    deep.change("max_jump", 0.2)
    deep.change("persist", 1)
    relative = deep.relative()
    deep.reference = depth_image(SCALE * relative + SHIFT)
    until(lambda: deep.estimate().scale_valid)
    deep.change("persist", 4)
    deep.reference = depth_image(2.0 * (SCALE * relative + SHIFT))
    reply = until(lambda: (made := deep.estimate()) and not made.scale_valid and "the scale jumps to 12.0" in made.message and made)
    assert "of the 4 fits in a row that it takes to be believed" in reply.message
    reply = until(lambda: (made := deep.estimate()).scale_valid and made)
    assert abs(reply.scale / (2.0 * SCALE) - 1) < 0.01


def test_scales_are_smoothed_over_time(deep, client):
    relative = deep.relative()
    deep.reference = depth_image(SCALE * relative + SHIFT)
    until(lambda: (made := deep.estimate()).scale_valid and abs(made.scale - SCALE) < 0.01)
    deep.change("max_age", 10.0)
    deep.change("time_constant", 1.0)
    deep.reference = depth_image(1.5 * (SCALE * relative + SHIFT))
    begun, scales = time.monotonic(), []
    while time.monotonic() < begun + 5.0:
        scales.append(deep.estimate().scale)
        time.sleep(0.1)
    assert any(1.05 * SCALE < scale < 1.4 * SCALE for scale in scales), "on its way"
    assert np.all(np.diff(scales) > -1e-9) and abs(scales[-1] / (1.5 * SCALE) - 1) < 0.03


def test_a_stale_reference_silences_after_a_while(deep, client):
    relative = deep.relative()
    deep.change("max_age", 2.0)
    deep.reference = depth_image(sensed(relative))
    until(lambda: deep.estimate().scale_valid)
    deep.reference = None
    reply = until(lambda: (made := deep.estimate()).scale_age_s > 0.5 and made, message="no ageing")
    assert reply.scale_valid and reply.scale_age_s <= 2.0 and abs(reply.scale / SCALE - 1) < 0.01
    status, _ = told(client, "the newest frame uses the scale of")
    assert status.level == b"\1" and "the nearest depth on /deep/depth_reference is" in status.message
    reply = until(lambda: not (made := deep.estimate()).scale_valid and made)
    assert "the newest good fit is 2." in reply.message and "s old, expected at most 2.0 s" in reply.message
    assert "s from the frame's stamp, and cameras.deep.scale.tolerance is 0.050 s" in reply.message


def test_stamps_may_differ_by_the_tolerance(deep, client):
    relative = deep.relative()
    deep.lag = 0.03
    deep.reference = depth_image(sensed(relative))
    until(lambda: deep.estimate().scale_valid)
    deep.change("tolerance", 0.01)
    reply = until(lambda: not (made := deep.estimate()).scale_valid and made)
    assert "is 0.030 s from the frame's stamp, and cameras.deep.scale.tolerance is 0.010 s" in reply.message


def test_limits_of_a_fit_are_parameters(deep, client):
    relative = deep.relative()
    deep.reference = depth_image(sensed(relative))
    until(lambda: deep.estimate().scale_valid)
    for leaf, value, words in [
        ("min_points", 100_000, "too few points with depth: expected at least 100000"),
        ("min_inlier_share", 0.95, "of the points fit one scale, expected at least 95 %"),
        ("max_median_error", 0.001, "the median error is"),
        ("inlier_error", 0.001, "of the points fit one scale, expected at least 50 %"),
    ]:
        before = get_parameter(client, f"cameras.deep.scale.{leaf}")
        deep.change(leaf, value)
        reply = until(lambda: not (made := deep.estimate()).scale_valid and made)
        assert words in reply.message
        deep.change(leaf, before)
        until(lambda: deep.estimate().scale_valid)


def test_millimetres_and_ranges(deep, client):
    relative = deep.relative()
    deep.reference = depth_image(SCALE * relative + SHIFT)
    low, high = np.quantile(SCALE * relative + SHIFT, [0.25, 0.75]).tolist()
    with Topics(client, "deep") as topics:
        metres = array_of(topics.next("depth/image")).astype(float)
        deep.change("depth.encoding", "16UC1")
        made = until(lambda: topics["depth/image"][-1].encoding == "16UC1" and topics["depth/image"][-1])
        assert np.abs(array_of(made) - 1000.0 * metres).max() <= 1.0 + 0.01 * metres.max()
        deep.change("depth.min_range", low)
        deep.change("depth.max_range", high)
        time.sleep(0.3)
        topics.forget()
        made = array_of(topics.next("depth/image"))
        assert 0.3 < np.mean(made == 0) < 0.7 and low * 1000 - 2 <= made[made > 0].min() <= made.max() <= high * 1000 + 2
        xyz, rgb = points_of(topics.next("points"))
    out = np.isnan(xyz[..., 2])
    assert 0.3 < out.mean() < 0.7 and np.isnan(xyz[out]).all() and np.array_equal(rgb, deep.picture)


# --- CameraInfo -----------------------------------------------------------------------------------------------------


def test_a_calibration_of_another_size_is_scaled(deep, client):
    relative = deep.relative()
    deep.info = calibration(10 * WIDTH, 10 * HEIGHT, focal=1065.0)
    deep.reference = depth_image(SCALE * relative + SHIFT)
    with Topics(client, "deep") as topics:
        info = until(lambda: [m for m in topics["depth/camera_info"] if m.header == m.header][-1:])[0]
        cloud = until(lambda: [m for m in topics["points"] if m.header == info.header])[0]
    assert (info.width, info.height, info.k[0]) == (WIDTH, HEIGHT, 106.5)
    # Half a pixel before a pixel's centre is its edge.
    assert abs(info.k[2] - ((0.52 * 640 + 0.5) / 10 - 0.5)) < 1e-9 and info.p[2] == info.k[2]
    xyz, _ = points_of(cloud)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    off = projected(xyz, info.k) - np.stack([columns, rows], axis=-1)
    assert np.linalg.norm(off, axis=-1).max() < 0.001


CALIBRATIONS = {
    "of another shape": (calibration(HEIGHT, HEIGHT), f"expected one for the shape of the image's {WIDTH} x {HEIGHT}, got {HEIGHT} x {HEIGHT}"),
    "empty": (CameraInfo(width=WIDTH, height=HEIGHT), "k is all 0: the camera is not calibrated"),
}


@pytest.mark.parametrize("what", CALIBRATIONS)
def test_a_calibration_that_cannot_be_used_silences_what_needs_it(deep, client, what):
    info, words = CALIBRATIONS[what]
    relative = deep.relative()
    deep.info, deep.reference = info, depth_image(SCALE * relative + SHIFT)
    with Topics(client, "deep") as topics:
        status, _ = told(client, words)
        topics.forget()
        topics.next("depth/image")
        time.sleep(0.3)
        assert not topics["points"] and not topics["depth/camera_info"]
        deep.info = calibration(WIDTH, HEIGHT)
        topics.next("points")
    assert status.level == b"\1"
    assert "~/deep/depth/camera_info and ~/deep/points need a calibration: /deep/camera_info: camera_info: " in status.message


def test_a_missing_calibration_is_named_and_a_latched_one_is_heard(start, client):
    """One sent before the node is there, by a publisher that keeps it."""
    start(CAMERAS)
    with Rig(client, "deep", pixels(WIDTH, HEIGHT)) as rig:
        rig.reference = depth_image(SCALE * rig.relative() + SHIFT)
        with Topics(client, "deep") as topics:
            topics.next("depth/image")
            status, _ = told(client, "need a calibration: no CameraInfo received yet on /deep/camera_info")
            assert status.level == b"\1" and not rig.status().camera_info
            assert not topics["points"] and not topics["depth/camera_info"]
            latched = client.node.create_publisher(CameraInfo, "/deep/camera_info", LATCHED)
            latched.publish(calibration(WIDTH, HEIGHT))
            topics.next("points")
            client.destroy(latched)
            assert rig.status().camera_info


def test_a_reference_that_nobody_publishes_is_named(start, client):
    process = start(CAMERAS)
    status, values = told(client, "no metric depth: no publisher on /deep/depth_reference")
    assert status.level == b"\1" and values["references"] == "0"
    with client.camera("deep"), Topics(client, "deep") as topics:
        process.wait_for("no metric depth: no publisher on /deep/depth_reference; there is no good fit yet")
        assert not topics["depth/image"]
        late = QoSProfile(depth=1000, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        logs, subscription = client.listen(Log, "/rosout", late)
        until(lambda: [log for log in logs if log.level == 30 and "no metric depth: no publisher" in log.msg])
        client.destroy(subscription)
    logged = [line for line in process.log().splitlines() if "no metric depth" in line]
    assert len(logged) == 1, logged


def lens(d, k, p):
    info = calibration(WIDTH, HEIGHT)
    info.d, info.k, info.p = d, k, p
    return info


def shown(points, info):
    """Where a lens of the model plumb_bob shows points, as OpenCV's documentation has it."""
    k1, k2, p1, p2, k3 = info.d
    x, y = points[..., 0] / points[..., 2], points[..., 1] / points[..., 2]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    bent = [x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y]
    fx, _, cx, _, fy, cy = info.k[:6]
    return np.stack([fx * bent[0] + cx, fy * bent[1] + cy], axis=-1)


@pytest.mark.parametrize("rectified", [False, True])
def test_raw_pictures_have_k_and_d_and_rectified_ones_p(start, client, rectified):
    start({**CAMERAS, "cameras.deep.rectified": rectified})
    k = [60.0, 0.0, 31.0, 0.0, 61.0, 24.0, 0.0, 0.0, 1.0]
    p = [50.0, 0.0, 30.0, 0.0, 0.0, 50.0, 23.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    with Rig(client, "deep", pixels(WIDTH, HEIGHT), lens([-0.3, 0.1, 0.001, -0.002, 0.01], k, p)) as rig:
        rig.reference = depth_image(SCALE * rig.relative() + SHIFT)
        with Topics(client, "deep") as topics:
            cloud = topics.next("points")
            info = until(lambda: [m for m in topics["depth/camera_info"] if m.header == cloud.header])[0]
    xyz, _ = points_of(cloud)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    off = np.linalg.norm(shown(xyz, info) - np.stack([columns, rows], axis=-1), axis=-1)
    assert off.max() < 0.5 and off.max() < 0.001
    assert (list(info.p), info.distortion_model) == (p, "plumb_bob")
    if rectified:
        assert list(info.k) == [50.0, 0.0, 30.0, 0.0, 50.0, 23.0, 0.0, 0.0, 1.0] and not any(info.d)
    else:
        assert list(info.k) == k and info.d[0] == -0.3


# --- Confidence -----------------------------------------------------------------------------------------------------


def test_confidence_on_its_topic(deep, client):
    deep.change("depth.confidence_samples", 2)
    messages, subscription = client.listen(Image, "/cooper/deep/depth/confidence")
    made = until(lambda: messages, message="no confidence")[0]
    client.destroy(subscription)
    confidence = array_of(made)
    assert confidence.shape == (HEIGHT, WIDTH) and made.encoding == "32FC1" and made.header.frame_id == "optical"
    maps = [array_of(deep.estimate(seed=seed).depth_relative).astype(float) for seed in (0, 1)]
    assert np.allclose(confidence, np.exp(-np.std(maps, axis=0, ddof=1) / 0.05), atol=1e-5) and confidence.min() < 0.99


def test_confidence_of_a_request_is_the_spread_of_its_seeds(deep, client):
    deep.change("depth.confidence_deviation", 0.1)
    maps = [array_of(deep.estimate(seed=seed).depth_relative).astype(float) for seed in (3, 4, 5)]
    reply = deep.estimate(seed=3, confidence_samples=3)
    assert reply.success, reply.message
    confidence = array_of(reply.confidence)
    assert np.allclose(confidence, np.exp(-np.std(maps, axis=0, ddof=1) / 0.1), atol=1e-5)
    assert np.array_equal(array_of(reply.depth_relative), maps[0].astype(np.float32)) and confidence.min() < 0.99
    assert deep.estimate().confidence.width == 0, "only when asked for"


@pytest.mark.parametrize("n", [1, 17])
def test_confidence_needs_some_maps(deep, n):
    reply = deep.estimate(confidence_samples=n)
    assert (reply.success, reply.error_code) == (False, EstimateDepth.Response.INVALID_INPUT)
    assert f"confidence_samples: expected 0 or 2 to 16, got {n}" in reply.message

"""What `cooper bag` writes, opened with other people's software: PyPI's mcap-ros2-support and rosbags.

Needs no ROS: COOPER names another executable, and `pytest --noconftest tests/ros/test_bag.py` runs it alone.
"""

import os
import subprocess
from pathlib import Path

import numpy
import pytest

pytest.importorskip("mcap_ros2", reason="no mcap-ros2-support: scripts/setup installs it")
pytest.importorskip("rosbags", reason="no rosbags: scripts/setup installs it")

from mcap.reader import make_reader  # noqa: E402
from mcap_ros2.decoder import DecoderFactory  # noqa: E402
from rosbags.rosbag2 import Reader  # noqa: E402
from rosbags.typesys import Stores, get_types_from_msg, get_typestore  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
COOPER = os.environ.get("COOPER", str(ROOT / "install" / "lib" / "cooper_perception" / "cooper"))
BAGS = ROOT / "tests" / "fixtures" / "bags"
START = 1_700_000_000
# Of cooper_perception/msg/Answer.
DIRECT, ANSWERED, TRUNCATED = 3, 0, 2
MAPS = {
    "depth_relative/image": ("32FC1", numpy.float32, 1),
    "depth/color": ("rgb8", numpy.uint8, 3),
    "segmentation/color": ("rgb8", numpy.uint8, 3),
    "segmentation/labels": ("mono8", numpy.uint8, 1),
    "overlay": ("rgb8", numpy.uint8, 3),
}
WANTED = {f"/cooper/{camera}/{name}" for camera in ("camera", "front") for name in MAPS} | {"/cooper/answer"}


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """A bag that mcap-ros2-support has written, worked on by the shipped model."""
    path = tmp_path_factory.mktemp("bag") / "out.mcap"
    subprocess.run(
        [COOPER, "bag", BAGS / "recorder.mcap", path, "--question", "What is near?", "--mode", "direct",
         "--time-points", "3", "--max-new-tokens", "8", "--seed", "11", "--copy"],
        cwd=ROOT, check=True, capture_output=True,
    )
    return path


def check_map(topic, n, image):
    """A map's fields, by the picture's number; its pixels come back."""
    camera, name = topic.removeprefix("/cooper/").split("/", 1)
    encoding, kind, channels = MAPS[name]
    assert (image.encoding, image.width, image.height, image.is_bigendian) == (encoding, 32, 24, 0)
    assert (image.header.stamp.sec, image.header.stamp.nanosec) == (START + n, 250_000_000)
    assert image.header.frame_id == {"camera": "camera_optical_frame", "front": "front"}[camera]
    pixels = numpy.frombuffer(bytes(image.data), kind).reshape(24, -1)
    assert pixels.shape == (24, 32 * channels)
    assert pixels.strides[0] == image.step
    if name == "depth_relative/image":
        assert 0 <= pixels.min() < pixels.max() <= 1


def check_answer(n, answer):
    assert answer.header.stamp.sec == START + n // 2
    assert (answer.camera, answer.question) == (("camera", "front")[n % 2], "What is near?")
    assert (answer.mode, answer.seed) == (DIRECT, 11)
    assert answer.status in (ANSWERED, TRUNCATED)
    assert answer.text
    (picture,) = answer.pictures
    assert (picture.camera, picture.width, picture.height) == (answer.camera, 32, 24)
    assert len(picture.sha256) == 64 and picture.header.stamp.sec == answer.header.stamp.sec
    assert (len(answer.evidence), answer.timings.total_s) == (0, 0.0), "direct; the same input gives the same bytes"


def log_time(n):
    return (START + n) * 1_000_000_000 + 260_000_000


def test_mcap_ros2_support_opens_it(bag):
    counts = {}
    with bag.open("rb") as file:
        reader = make_reader(file, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        # In the order of the file: answers come camera by camera.
        for _schema, channel, message, decoded in reader.iter_decoded_messages(log_time_order=False):
            n = counts[channel.topic] = counts.get(channel.topic, -1) + 1
            if channel.topic == "/cooper/answer":
                check_answer(n, decoded)
            elif channel.topic in WANTED:
                check_map(channel.topic, n, decoded)
                assert message.log_time == message.publish_time == log_time(n)
        statistics = reader.get_summary().statistics
    assert counts.keys() - {"/notes"} == WANTED | {
        "/camera/image_raw", "/camera/depth/image_raw", "/front/image_raw/compressed"
    }
    assert statistics.message_count == sum(counts.values()) + len(counts) == 10 * 3 + 6 + 4 * 3


def test_rosbags_opens_it(bag):
    store = get_typestore(Stores.ROS2_JAZZY)
    with Reader(bag) as reader:
        for connection in reader.connections:
            if connection.msgtype == "cooper_perception/msg/Answer":
                # The definition is read from the bag alone.
                store.register(get_types_from_msg(connection.msgdef.data, connection.msgtype))
        counts = {}
        for connection, time, data in reader.messages():
            n = counts[connection.topic] = counts.get(connection.topic, -1) + 1
            decoded = store.deserialize_cdr(data, connection.msgtype)
            if connection.topic == "/cooper/answer":
                check_answer(n, decoded)
            elif connection.topic in WANTED:
                check_map(connection.topic, n, decoded)
                assert time == log_time(n)
        assert WANTED < counts.keys()
        assert reader.message_count == 10 * 3 + 6 + 4 * 3


def test_both_agree_with_the_definitions_of_ros(bag):
    """The schemas in the bag are those of the installed messages, but for comments."""
    installed = {}
    for package, name in [("sensor_msgs", "Image"), ("cooper_perception", "Answer")]:
        for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(":"):
            path = Path(prefix) / "share" / package / "msg" / f"{name}.msg"
            if path.is_file():
                installed.setdefault(f"{package}/msg/{name}", path.read_text())
    if not installed:
        pytest.skip("no ROS 2 is sourced")
    with bag.open("rb") as file:
        schemas = make_reader(file).get_summary().schemas.values()
    found = {schema.name: schema.data.decode() for schema in schemas}

    def fields(text):
        lines = (line.split("#")[0].split() for line in text.split("=" * 80)[0].splitlines())
        return [" ".join(line) for line in lines if line]

    for name, definition in installed.items():
        assert fields(found[name]) == fields(definition), name

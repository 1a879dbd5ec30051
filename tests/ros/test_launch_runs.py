"""Each launch argument at work: the nodes that the launch files describe are started and looked at.

What reads the launch files is launch_stand_in: ROS 2's launch packages are not among the wheels.
"""

import os
import subprocess

import pytest
from cooper_client import SENSOR, image, pixels, stamp_of, until
from cooper_process import MODEL, ROOT
from cooper_perception.srv import GetStatus
from launch_stand_in import SHARE, nodes_of
from PIL import Image as Picture
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from test_parameters import get_parameter

COOPER, DEMO = SHARE / "launch" / "cooper.launch.py", SHARE / "launch" / "demo.launch.py"


@pytest.fixture
def launch(start):
    """Start the node of cooper.launch.py with these arguments."""

    def launch(path=COOPER, **arguments):
        made = nodes_of(path, **arguments)
        node = made["cooper_node"]
        assert (node.package, node.name) == ("cooper_perception", "cooper")
        process = start(arguments=node.ros_arguments() + node.plain_arguments()[1:])
        return process, made

    return launch


def status(client, name="/cooper"):
    return client.call(GetStatus, f"{name}/get_status", GetStatus.Request())


def test_a_namespace_holds_for_node_and_topics(launch, client):
    _, made = launch(namespace="/r1/", rviz="true", image_topic="usb/image")
    assert status(client, "/r1/cooper").cameras[0].topic == "/r1/usb/image"
    moved = dict(made["rviz2"].remappings)
    assert moved["/cooper/camera/overlay"] == "/r1/cooper/camera/overlay"
    assert moved["/camera/image_raw"] == "/r1/usb/image"


def test_a_parameter_file_is_read_and_arguments_come_after_it(launch, client, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text('/**:\n  ros__parameters:\n    limits: {queue: 3}\n    model: {dir: "/nowhere", device: "auto"}\n')
    launch(params_file=str(file), model_dir=str(MODEL), device="cpu")
    reply = status(client)
    assert (reply.queue_limit, reply.model) == (3, str(MODEL))
    assert get_parameter(client, "model.device") == "cpu"


def test_the_cameras_topics(launch, client):
    launch(image_topic="/usb/image", camera_info_topic="/usb/info", depth_topic="/usb/depth")
    assert get_parameter(client, "cameras.camera.scale.source") == "depth"
    publishers = [
        (client.node.create_publisher(kind, f"/usb/{name}", SENSOR), message)
        for kind, name, message in [
            (Image, "image", image(pixels())), (CameraInfo, "info", CameraInfo()), (Image, "depth", image(pixels())),
        ]
    ]  # fmt: skip

    def heard():
        for publisher, message in publishers:
            publisher.publish(message)
        camera = status(client).cameras[0]
        return camera.topic == "/usb/image" and camera.encoding == "rgb8" and camera.camera_info

    until(heard)
    assert client.node.count_subscribers("/usb/depth") == 1
    for publisher, _ in publishers:
        client.destroy(publisher)


def test_simulated_time(launch, client):
    launch(use_sim_time="true")
    clock = client.node.create_publisher(Clock, "/clock", SENSOR)

    def is_simulated():
        message = Clock()
        message.clock.sec = 77
        clock.publish(message)
        return stamp_of(status(client)) == (77, 0)

    until(is_simulated)
    client.destroy(clock)


@pytest.mark.parametrize("level, is_told", [("info", True), ("WARN", False)])
def test_the_log_level(start, client, level, is_told):
    node = nodes_of(COOPER, log_level=level)["cooper_node"]
    process = start(arguments=node.ros_arguments() + node.plain_arguments()[1:], ready=False)
    until(lambda: status(client).state == "ready")
    assert ("INFO" in process.log()) == is_told


def test_rviz_is_started_when_asked_for_and_shows_the_nodes_topics():
    assert set(nodes_of(COOPER)) == {"cooper_node"}
    made = nodes_of(COOPER, rviz="true", use_sim_time="true")
    assert made["rviz2"].arguments == ["-d", str(SHARE / "rviz" / "cooper.rviz")] and made["rviz2"].remappings == []
    assert made["rviz2"].parameters == [{"use_sim_time": True}]
    assert set(nodes_of(DEMO, picture="a.png")) == {"cooper_node", "publish_picture.py", "rviz2"}
    assert set(nodes_of(DEMO, picture="a.png", rviz="false")) == {"cooper_node", "publish_picture.py"}


def test_the_middleware_has_room_for_pictures(monkeypatch):
    profiles = "FASTRTPS_DEFAULT_PROFILES_FILE"
    monkeypatch.delenv(profiles, raising=False)
    for node in nodes_of(DEMO, picture="a.png").values():
        shipped = node.environment[profiles]
        assert shipped == str(SHARE / "config" / "fastdds_subnet.xml") and (ROOT / "config" / "fastdds_subnet.xml").exists()
    monkeypatch.setenv(profiles, "/mine.xml")
    assert nodes_of(COOPER)["cooper_node"].environment[profiles] == "/mine.xml"


def test_the_demo_publishes_a_picture(launch, client, tmp_path):
    file = tmp_path / "picture.png"
    Picture.fromarray(pixels(80, 60)).save(file)
    _, made = launch(DEMO, picture=str(file), rate="10", rviz="false", namespace="r2")
    player = made["publish_picture.py"]
    command = [ROOT / "install/lib/cooper_perception/publish_picture.py", *player.plain_arguments(), "--ros-args", *player.ros_arguments()]
    playing = subprocess.Popen(command, env=os.environ, stderr=subprocess.DEVNULL)
    try:
        # The rate of the first few pictures may be anything: they may come together.
        camera = until(lambda: 5.0 < (heard := status(client, "/r2/cooper").cameras[0]).rate_hz < 15.0 and heard.camera_info and heard)
        assert (camera.width, camera.height) == (80, 60)
    finally:
        playing.terminate()
        playing.wait(10)

"""Start the COOPER node, and rviz2 with `rviz:=true`."""

import re
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import EnvironmentVariable, LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("cooper_perception"))
RVIZ_FILE = SHARE / "rviz" / "cooper.rviz"
# Only Fast DDS reads this file.
PROFILES = "FASTRTPS_DEFAULT_PROFILES_FILE"


def nodes(context):
    """The nodes for these arguments; an empty argument leaves the value of the parameter file."""

    def argument(name):
        return LaunchConfiguration(name).perform(context)

    def is_true(name):
        return argument(name).lower() in ("true", "1")

    namespace = argument("namespace").strip("/")
    level = argument("log_level").lower()
    sim_time = {"use_sim_time": is_true("use_sim_time")} if argument("use_sim_time") else {}
    model = {"model.dir": argument("model_dir"), "model.device": argument("device")}
    overrides = sim_time | {name: value for name, value in model.items() if value}

    # The node's default camera is named `camera`.
    image, info, depth = argument("image_topic"), argument("camera_info_topic"), argument("depth_topic")
    remappings = []
    if image:
        remappings += [("camera/image_raw", image), ("camera/image_raw/compressed", f"{image}/compressed")]
    if info:
        remappings += [("camera/camera_info", info)]
    if depth:
        remappings += [("camera/depth_reference", depth)]
        overrides["cameras.camera.scale.source"] = "depth"

    made = [
        Node(
            package="cooper_perception",
            executable="cooper_node",
            name="cooper",
            namespace=namespace,
            parameters=[argument("params_file")] + ([overrides] if overrides else []),
            remappings=remappings,
            arguments=["--ros-args", "--log-level", level],
            output="screen",
            emulate_tty=True,
        )
    ]
    if is_true("rviz"):
        # The file has the topics of a node without namespace and with default topics.
        prefix = f"/{namespace}" if namespace else ""
        moved = {topic: prefix + topic for topic in re.findall(r"Value: (/\S+)", RVIZ_FILE.read_text())}
        if image:
            moved["/camera/image_raw"] = image if image.startswith("/") else f"{prefix}/{image}"
        made.append(
            Node(
                package="rviz2",
                executable="rviz2",
                name="rviz2",
                arguments=["-d", str(RVIZ_FILE)],
                parameters=[sim_time] if sim_time else [],
                remappings=[pair for pair in moved.items() if pair[0] != pair[1]],
            )
        )
    return made


def generate_launch_description():
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="", description="namespace of the node and its topics"),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "cooper.yaml"),
                description="YAML file with the node's parameters",
            ),
            DeclareLaunchArgument(
                "model_dir", default_value="", description="model directory; empty: as in params_file"
            ),
            DeclareLaunchArgument(
                "device", default_value="", description="auto, cpu or cuda:N; empty: as in params_file"
            ),
            DeclareLaunchArgument(
                "image_topic", default_value="", description="image topic of the camera; empty: camera/image_raw"
            ),
            DeclareLaunchArgument(
                "camera_info_topic", default_value="", description="its CameraInfo topic; empty: camera/camera_info"
            ),
            DeclareLaunchArgument(
                "depth_topic",
                default_value="",
                description="depth registered to the camera, the source of metres; empty: as in params_file",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="",
                description="take the time from /clock: true or false; empty: as in params_file",
            ),
            DeclareLaunchArgument("rviz", default_value="false", description="also start rviz2: true or false"),
            DeclareLaunchArgument("log_level", default_value="info", description="debug, info, warn or error"),
            # Buffers for images, unless the environment has a profile already.
            SetEnvironmentVariable(
                PROFILES, EnvironmentVariable(PROFILES, default_value=str(SHARE / "config" / "fastdds_subnet.xml"))
            ),
            OpaqueFunction(function=nodes),
        ]
    )

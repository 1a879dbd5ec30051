"""Show COOPER on one picture: the node, a publisher of the picture as its camera, and rviz2.

    ros2 launch cooper_perception demo.launch.py picture:=/path/to/picture.jpg
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PythonExpression
from launch_ros.actions import Node

SHARE = Path(get_package_share_directory("cooper_perception"))


def generate_launch_description():
    # The default, an empty string, is no boolean.
    is_simulated = PythonExpression(["'", LaunchConfiguration("use_sim_time"), "'.lower() in ('true', '1')"])
    # The arguments of cooper.launch.py hold here too; only the default of rviz differs.
    return LaunchDescription(
        [
            DeclareLaunchArgument("picture", description="PNG or JPEG file to publish as the camera"),
            DeclareLaunchArgument("rate", default_value="5.0", description="frames per second of the publisher"),
            DeclareLaunchArgument("rviz", default_value="true", description="also start rviz2: true or false"),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(SHARE / "launch" / "cooper.launch.py"))),
            # After the include, which sets the defaults of its arguments.
            Node(
                package="cooper_perception",
                executable="publish_picture.py",
                name="publish_picture",
                namespace=LaunchConfiguration("namespace"),
                arguments=[LaunchConfiguration("picture"), "--rate", LaunchConfiguration("rate")],
                parameters=[{"use_sim_time": is_simulated}],
                remappings=[("image_raw", "camera/image_raw"), ("camera_info", "camera/camera_info")],
                output="screen",
            ),
        ]
    )

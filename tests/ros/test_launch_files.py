"""The launch files and the rviz file against the names that users rely on.

Needs pytest and PyYAML only; where ROS 2's launch packages can be imported, the descriptions are generated too.
"""

import ast
import importlib.util
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COOPER = ROOT / "launch" / "cooper.launch.py"
DEMO = ROOT / "launch" / "demo.launch.py"
RVIZ = ROOT / "rviz" / "cooper.rviz"

COOPER_ARGUMENTS = {
    "namespace", "params_file", "model_dir", "device", "image_topic", "camera_info_topic", "depth_topic", "use_sim_time", "rviz",
    "log_level",
}  # fmt: skip
DEMO_ARGUMENTS = {"picture", "rate", "rviz"}

# What the node publishes for its default camera that rviz can show, and the camera itself.
TOPIC_TYPES = {
    "/camera/image_raw": "Image",
    "/cooper/camera/depth_relative/image": "Image",
    "/cooper/camera/depth/image": "Image",
    "/cooper/camera/depth/color": "Image",
    "/cooper/camera/depth/confidence": "Image",
    "/cooper/camera/segmentation/color": "Image",
    "/cooper/camera/segmentation/labels": "Image",
    "/cooper/camera/overlay": "Image",
    "/cooper/camera/points": "PointCloud2",
    "/cooper/markers": "MarkerArray",
}


def calls(path, name):
    """Every call of a function in a Python file."""
    tree = ast.parse(path.read_text(), str(path))
    return [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "id", None) == name]


def declared(path):
    return [call.args[0].value for call in calls(path, "DeclareLaunchArgument")]


@pytest.mark.parametrize(("path", "wanted"), [(COOPER, COOPER_ARGUMENTS), (DEMO, DEMO_ARGUMENTS)])
def test_arguments_are_the_promised_ones_and_described(path, wanted):
    assert sorted(declared(path)) == sorted(wanted)
    for call in calls(path, "DeclareLaunchArgument"):
        assert "description" in {keyword.arg for keyword in call.keywords}, ast.unparse(call)


@pytest.mark.parametrize(("path", "known"), [(COOPER, COOPER_ARGUMENTS), (DEMO, COOPER_ARGUMENTS | DEMO_ARGUMENTS)])
def test_only_declared_arguments_are_used(path, known):
    used = [c.args[0].value for name in ("LaunchConfiguration", "argument", "is_true") for c in calls(path, name)
            if isinstance(c.args[0], ast.Constant)]  # fmt: skip
    assert used
    assert set(used) <= known


def test_an_argument_that_is_not_given_leaves_the_parameter_file_alone():
    defaults = {
        call.args[0].value: keyword.value.value
        for call in calls(COOPER, "DeclareLaunchArgument")
        for keyword in call.keywords
        if keyword.arg == "default_value" and isinstance(keyword.value, ast.Constant)
    }
    assert [defaults[name] for name in ("model_dir", "device", "depth_topic", "use_sim_time")] == [""] * 4


def test_nodes_name_programs_that_the_package_installs():
    started = {
        (keywords["package"], keywords["executable"])
        for path in (COOPER, DEMO)
        for call in calls(path, "Node")
        for keywords in [{k.arg: k.value.value for k in call.keywords if isinstance(k.value, ast.Constant)}]
    }
    assert started == {
        ("cooper_perception", "cooper_node"),
        ("cooper_perception", "publish_picture.py"),
        ("rviz2", "rviz2"),
    }
    assert (ROOT / "scripts" / "publish_picture.py").stat().st_mode & 0o111
    installed = (ROOT / "CMakeLists.txt").read_text()
    assert "cooper_node" in installed and "publish_picture.py" in installed


def test_rviz_shows_every_map_cloud_and_marker():
    manager = yaml.safe_load(RVIZ.read_text())["Visualization Manager"]
    shown = {
        display["Topic"]["Value"]: display["Class"].removeprefix("rviz_default_plugins/")
        for display in manager["Displays"]
        if "Topic" in display
    }
    assert shown == TOPIC_TYPES
    names = [display["Name"] for display in manager["Displays"]]
    assert len(names) == len(set(names))


@pytest.mark.skipif(
    importlib.util.find_spec("launch_ros") is None, reason="launch_ros cannot be imported: not in the PyPI wheels"
)
@pytest.mark.parametrize("path", [COOPER, DEMO])
def test_descriptions_generate(path):
    pytest.importorskip("ament_index_python").get_package_share_directory("cooper_perception")
    spec = importlib.util.spec_from_file_location(path.stem.replace(".", "_"), path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    description = module.generate_launch_description()
    assert {argument.name for argument in description.get_launch_arguments()} >= set(declared(path))

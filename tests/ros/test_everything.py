"""everything.yaml against the documents (which tests/program/docs holds against the code), the launch files, the running
node and the tests that it names."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy
import yaml
from cooper_client import until
from cooper_process import ROOT
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.srv import ListParameters
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.context import Context
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from test_launch_files import COOPER, DEMO, declared

TESTS = Path(__file__).resolve().parent
DOCUMENTS = "".join((ROOT / "docs" / name).read_text() for name in ("interfaces.md", "parameters.md"))
EVERYTHING = yaml.safe_load((TESTS / "everything.yaml").read_text())
# What every ROS node has.
OWN_OF_ROS = re.compile(r"/parameter_events$|/_action/|parameters(_atomically)?$|/get_parameter_types$|/get_type_description$")
CAMERAS = {
    "cameras": ["front/left", "packed"],
    "cameras.packed.transport": "compressed",
    "cameras.front/left.scale.source": "depth",
    "cameras.packed.scale.source": "depth",
}


def rows_of_documents(section):
    """Each row's cells, the first one's name as key."""
    table = DOCUMENTS.split(f"<!-- {section} -->\n")[1].split(f"<!-- end {section} -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]
    return {row[0].strip("` "): row[1:] for row in rows}


def words_in_code(text):
    return re.findall(r"`([a-z_]+)`", text)


def check(section, found, where):
    """The table has what was found, and nothing else."""
    found, listed = set(found), set(EVERYTHING[section])
    missing, extra = sorted(found - listed), sorted(listed - found)
    rows = "\n".join(f"  {name}: FILE.py::TEST" for name in missing)
    assert not missing, f"everything.yaml, {section}: expected a row for what {where} has:\n{rows}"
    assert not extra, f"everything.yaml, {section}: expected only what {where} has, got {extra}"


@pytest.mark.parametrize("section", ["subscribed", "published", "services", "parameters"])
def test_the_documents_tables(section):
    check(section, rows_of_documents(section), "docs")


def test_launch_arguments():
    check("launch", rows_of_documents("launch"), "docs/interfaces.md")
    check("launch", declared(COOPER) + declared(DEMO), "the folder launch")


def test_named_tests_exist():
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(TESTS)]
    collected = subprocess.run(collect, cwd=TESTS, capture_output=True, text=True, check=True).stdout
    tests = {line.split("/")[-1] if "[" not in line else re.sub(r"^.*?(?=test_\w+\.py)", "", line) for line in collected.splitlines() if "::" in line}
    tests |= {test.split("[")[0] for test in tests}
    named = {name: test for section, rows in EVERYTHING.items() if section != "diagnostics" for name, test in rows.items()}
    named |= {f"{status}: {key}": test for status, rows in EVERYTHING["diagnostics"].items() for key, test in rows.items()}
    assert len(tests) > 100 and len(named) > 100
    lost = {name: test for name, test in named.items() if test not in tests}
    assert not lost, f"everything.yaml: expected tests that exist, got {lost}"


# --- The running node -----------------------------------------------------------------------------------------------


@pytest.fixture
def rich_node(shared_node, client):
    """One with cameras of either transport and all the metric topics."""
    process = shared_node.run(CAMERAS)
    until(client.servers)
    yield process
    assert process.is_alive(), process.log()


@pytest.fixture
def graph(rich_node):
    """A participant that has never seen another node of ours: see Client.until_alone about names that stay."""
    context = Context()
    rclpy.init(context=context)
    made = rclpy.create_node("cooper_test_graph", context=context)
    until(lambda: "cooper" in made.get_node_names())
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def of_any_camera(name):
    """A resolved name as the documentation has it."""
    for camera in CAMERAS["cameras"]:
        name = re.sub(rf"^/cooper/{camera}/", "~/N/", name)
        name = re.sub(rf"^/{camera}/", "N/", name)
        name = name.replace(f"cameras.{camera}.", "cameras.N.")
    return re.sub(r"^/cooper/", "~/", name)


def offered(names_and_types):
    return {of_any_camera(name): types for name, types in names_and_types if not OWN_OF_ROS.search(name)}


def check_types(section, found):
    check(section, found, "the running node")
    for name, (type_name, *_) in rows_of_documents(section).items():
        assert found[name] == [type_name], name


def test_the_running_nodes_topics(graph):
    subscribed = lambda: offered(graph.get_subscriber_names_and_types_by_node("cooper", "/"))
    published = lambda: offered(graph.get_publisher_names_and_types_by_node("cooper", "/"))
    # The graph learns of them one by one.
    until(lambda: len(subscribed()) >= len(EVERYTHING["subscribed"]) and len(published()) >= len(EVERYTHING["published"]))
    check_types("subscribed", subscribed())
    check_types("published", published())


def test_the_running_nodes_qualities_of_service(rich_node, client):
    for name, (_, quality, _) in rows_of_documents("published").items():
        topic = name.replace("~/N/", "/cooper/packed/").replace("~/", "/cooper/")
        mine = lambda: [info for info in client.node.get_publishers_info_by_topic(topic) if info.node_name == "cooper"]
        profile = until(mine, message=f"nobody publishes {topic}")[0].qos_profile
        assert (profile.reliability == ReliabilityPolicy.RELIABLE) == quality.startswith("reliable"), name
        assert (profile.durability == DurabilityPolicy.TRANSIENT_LOCAL) == ("transient local" in quality), name


def test_the_running_nodes_services_and_action(graph):
    services = lambda: offered(graph.get_service_names_and_types_by_node("cooper", "/"))
    actions = lambda: offered(get_action_server_names_and_types_by_node(graph, "cooper", "/"))
    until(lambda: len(services()) + len(actions()) >= len(EVERYTHING["services"]))
    check_types("services", services() | actions())


def test_the_running_nodes_parameters(rich_node, client):
    names = client.call(ListParameters, "/cooper/list_parameters", ListParameters.Request()).result.names
    check("parameters", map(of_any_camera, names), "the running node")


def test_the_running_nodes_diagnostics(rich_node, client):
    messages, subscription = client.listen(DiagnosticArray, "/diagnostics")
    message = until(lambda: [message for message in messages if any(s.name == "cooper: model" for s in message.status)])[-1]
    client.destroy(subscription)
    # A status is named after the node and, if it is of a camera, ends with the camera's name.
    ending = re.compile(rf" ({'|'.join(CAMERAS['cameras'])})$")
    found = {ending.sub(" N", status.name.removeprefix("cooper: ")): [pair.key for pair in status.values] for status in message.status}
    check("diagnostics", found, "the running node")
    check("diagnostics", rows_of_documents("diagnostics"), "docs/interfaces.md")
    told = {status: words_in_code(row[1]) for status, row in rows_of_documents("diagnostics").items()}
    for status, keys in found.items():
        assert len(keys) == len(set(keys)), keys
        for where, others in [("everything.yaml", EVERYTHING["diagnostics"][status]), ("docs/interfaces.md", told[status])]:
            assert set(others) == set(keys), f"{where}, diagnostics, {status}: differs from the running node in {set(others) ^ set(keys)}"

"""scripts/ask.py, which asks where there is no `ros2` command, and the command line of cooper_node."""

import os
import re
import subprocess
import sys

import pytest
from cooper_client import pixels, until
from cooper_perception.srv import Ask, GetStatus
from cooper_process import EXECUTABLE, ROOT
from PIL import Image as Picture


def run(*command, timeout=60):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=timeout, env=os.environ)


def ask(*arguments):
    return run(sys.executable, ROOT / "scripts" / "ask.py", *arguments)


def test_a_question_is_answered_about_a_played_picture(node, client, tmp_path):
    """What README says for machines without the `ros2` command."""
    file = tmp_path / "picture.png"
    Picture.fromarray(pixels(128, 96)).save(file)
    command = [sys.executable, ROOT / "scripts" / "publish_picture.py", file, "--ros-args", "-r", "__ns:=/camera"]
    playing = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL)
    try:
        width = lambda: client.call(GetStatus, "/cooper/get_status", GetStatus.Request()).cameras[0].width
        until(lambda: width() == 128)
        asked = ask("How many objects are there?", "--camera", "camera", "--mode", "direct")
    finally:
        playing.terminate()
        playing.wait(10)
    lines = re.fullmatch(r"answer: (.+)\nstatus: (ANSWERED|NO_ANSWER)(: .+)?\nseconds: \d+\.\d\d\n", asked.stdout)
    assert lines, asked
    assert asked.returncode == (lines[1] == "none"), asked


def test_an_error_has_its_name_and_its_reason(node):
    asked = ask("What is near?", "--camera", "nowhere")
    assert asked.returncode == 1 and "answer: none\nstatus: UNKNOWN_CAMERA: " in asked.stdout, asked
    asked = ask(" ")
    assert asked.returncode == 1 and "status: INVALID_INPUT: " in asked.stdout, asked


def test_without_a_node_it_says_so(client):
    asked = ask("What is near?", "--node", "/nobody", "--timeout", "1")
    assert (asked.returncode, asked.stdout) == (1, "")
    assert "/nobody/ask: expected a running node within 1 s, got none" in asked.stderr


def test_wrong_usage_is_2():
    for wrong in [[], ["q", "--mode", "aloud"], ["q", "--timeout", "0"]]:
        assert ask(*wrong).returncode == 2


def test_its_errors_are_those_of_the_service():
    sys.path.insert(0, str(ROOT / "scripts"))
    import ask as script

    numbers = [getattr(Ask.Response, name) for name in script.ERRORS]
    assert numbers == list(range(1, 9))
    assert [getattr(Ask.Request, mode.upper()) for mode in script.MODES] == list(range(4))


@pytest.mark.parametrize("arguments", [["--help"], ["--ros-args", "-r", "__node:=cooper", "--help"]])
def test_the_node_prints_its_usage_and_ends(arguments):
    told = run(EXECUTABLE, *arguments)
    assert told.returncode == 0 and "Usage: cooper_node" in told.stdout and "docs/parameters.md" in told.stdout, told


def test_the_node_has_a_version():
    told = run(EXECUTABLE, "--version")
    assert told.returncode == 0 and re.fullmatch(r"cooper_node \d+\.\d+\.\d+\n", told.stdout), told


@pytest.mark.parametrize("word", ["model.dir:=/data/COOPER", "-p", "COOPER"])
def test_the_node_refuses_words_that_are_no_ros_arguments(word):
    told = run(EXECUTABLE, word)
    assert told.returncode == 2 and f'got "{word}"' in told.stderr and "--help" in told.stderr, told

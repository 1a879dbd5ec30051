"""What scripts/demo_client.py saves and says."""

import sys

import numpy as np
import pytest
from cooper_client import image, pixels
from cooper_process import ROOT
from PIL import Image as Picture

sys.path.insert(0, str(ROOT / "scripts"))
import demo_client  # noqa: E402


@pytest.mark.parametrize(
    "answer, known, expected",
    [
        ("1.4 m", {"answer": "1.2 m", "value": 1.2, "unit": "m"}, "within 25 %: counted as right"),
        ("2.4 m", {"answer": "1.2 m", "value": 1.2, "unit": "m"}, "off by 100 %: counted as wrong"),
        ("near", {"answer": "1.2 m", "value": 1.2, "unit": "m"}, "counted as wrong"),
        ("4", {"answer": "4", "value": 4.0, "unit": None}, "counted as right"),
        ("5", {"answer": "4", "value": 4.0, "unit": None}, "counted as wrong"),
        ("Red can", {"answer": "the red can", "value": None, "unit": None}, "counted as right"),
    ],
)
def test_the_verdict_is_that_of_the_evaluation(answer, known, expected):
    assert demo_client.verdict(answer, known) == expected


def test_every_saved_file_is_described():
    saved = [*demo_client.MAPS.values(), "answer.json"]
    assert sorted(saved) == sorted(demo_client.FILES)
    assert demo_client.description("input.png") == "the picture"
    assert demo_client.description("evidence_0_depth.png").startswith("depth that the model drew")
    assert [demo_client.count(n, "map") for n in (0, 1)] == ["0 maps", "1 map"]


def test_labels_are_saved_as_they_are(tmp_path):
    message = image(pixels(), "mono8")
    demo_client.save(message, tmp_path / "labels.png")
    assert (np.asarray(Picture.open(tmp_path / "labels.png")) == pixels()[..., 0]).all()

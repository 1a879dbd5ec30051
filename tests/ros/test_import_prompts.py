"""scripts/import_prompts.py on a made-up clone: texts are read, not run, checked, and written as YAML."""

import hashlib
import importlib.util
import json
import pathlib
import sys

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "import_prompts.py"
TEXTS = {
    "INTERLEAVE_REASON_SYSTEM_PROMPT": 'Two "skills":\n  <a> OR <b>\n  \\boxed{{}}',
    "IMAGE_REASON_SYSTEM_PROMPT": "Look. It's: here # not a comment",
    "VLM_THINK_SYSTEM_PROMPT": "Think.",
    "REFLECTION_PROMPT": "\nCheck it — twice.\n",
}
SOURCE = """
import nothing_that_exists
TOOL_A = "<a>"
TOOLS = TOOL_A + " OR " + "<b>"
INTERLEAVE_REASON_SYSTEM_PROMPT = f'''Two "skills":\\n  {TOOLS}\\n  \\\\boxed{{{{}}}}'''
IMAGE_REASON_SYSTEM_PROMPT = '''  Look. It's: here # not a comment
'''.strip()
VLM_THINK_SYSTEM_PROMPT = "Think."
REFLECTION_PROMPT = '''
Check it — twice.
'''
raise SystemExit("this file was run")
"""


@pytest.fixture
def script(monkeypatch):
    spec = importlib.util.spec_from_file_location("import_prompts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    wanted = {
        name: (key, len(TEXTS[name]), hashlib.sha256(TEXTS[name].encode()).hexdigest())
        for name, (key, _, _) in module.WANTED.items()
    }
    monkeypatch.setattr(module, "WANTED", wanted)
    return module


@pytest.fixture
def folders(tmp_path, monkeypatch):
    clone, model = tmp_path / "clone", tmp_path / "model"
    (clone / "train").mkdir(parents=True)
    model.mkdir()
    (clone / "train" / "inferencer.py").write_text(SOURCE.replace("\\\\boxed{{{{}}}}", "\\\\boxed{{{{}}}}"))
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(clone), str(model)])
    return clone, model


def test_texts_are_read_and_written(script, folders):
    script.main()
    lines = (folders[1] / "prompts.yaml").read_text().splitlines()
    written = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in lines)}
    expected = {script.WANTED[name][0]: text for name, text in TEXTS.items()}
    assert written == script.PROTOCOL | expected


def test_another_text_is_refused_and_nothing_written(script, folders):
    file = folders[0] / "train" / "inferencer.py"
    file.write_text(file.read_text().replace("Think.", "Think!"))
    with pytest.raises(SystemExit, match="VLM_THINK_SYSTEM_PROMPT.*expected 6 characters"):
        script.main()
    assert not list(folders[1].iterdir())


def test_a_folder_that_is_no_clone_is_named(script, folders):
    (folders[0] / "train" / "inferencer.py").unlink()
    with pytest.raises(SystemExit, match="inferencer.py, found none below"):
        script.main()

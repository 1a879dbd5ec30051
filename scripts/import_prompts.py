#!/usr/bin/env python3
"""Write the exact prompts that COOPER was trained on into a model directory, from your own clone of its repository.

    scripts/import_prompts.py PATH_TO_UPSTREAM_CLONE MODEL_DIR

The constants are read from the source text, never run, and checked by length and SHA-256.
"""

import ast
import hashlib
import json
import pathlib
import sys

# Constant in the clone -> key in prompts.yaml, length in characters, SHA-256 of the UTF-8 text.
WANTED = {
    "INTERLEAVE_REASON_SYSTEM_PROMPT": (
        "interleave_system", 1703, "471c9b249bcf591ff78b116fac1eb40c2b23472a7e534e6b4e94d2001021c808"),
    "IMAGE_REASON_SYSTEM_PROMPT": (
        "perception_system", 430, "5a3bb58d46aa1b24938ee2bead9daf49cd15ad901bcdcd75970a46afd642f18c"),
    "VLM_THINK_SYSTEM_PROMPT": (
        "think_system", 227, "5eff00888fdf6b912c3f9a80711933dd35cdd164d167cba6b2a5889c04d7b565"),
    "REFLECTION_PROMPT": (
        "reflection", 429, "33b39b884ee043764fdeaec7f6fd467b790266ddb677d084178aa7bb2d93ab52"),
}
# The protocol's two strings; the model writes them itself.
PROTOCOL = {
    "depth_instruction":
        "<depth-estimation>Estimate the depth of the image and generate the depth map.</depth-estimation>",
    "segmentation_instruction":
        "<segmentation>Segment the objects in the image with different colors.</segmentation>",
}


def text_of(node, constants):
    """The text that an expression of literals, known names, `+` and f-strings stands for, or None."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.Name):
        return constants.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [text_of(node.left, constants), text_of(node.right, constants)]
    elif isinstance(node, ast.JoinedStr):
        parts = [text_of(getattr(part, "value", part) if isinstance(part, ast.FormattedValue) else part, constants)
                 for part in node.values]
    elif (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
          and node.func.attr == "strip" and not node.args and not node.keywords):
        inner = text_of(node.func.value, constants)
        return inner if inner is None else inner.strip()
    else:
        return None
    return None if None in parts else "".join(parts)


def constants_of(file):
    """All text constants that a module assigns at its top level."""
    constants = {}
    try:
        module = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError):
        return constants
    for statement in module.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, text = statement.targets[0], text_of(statement.value, constants)
            if isinstance(target, ast.Name) and text is not None:
                constants[target.id] = text
    return constants


def find(clone):
    """The wanted texts, from whichever `inferencer.py` has the one with the right hash."""
    files = sorted(clone.rglob("inferencer.py"))
    if not files:
        sys.exit(f"import_prompts: expected a clone of COOPER with an inferencer.py, found none below {clone}")
    found, wrong = {}, {}
    for file in files:
        constants = constants_of(file)
        for name, (key, length, sha256) in WANTED.items():
            text = constants.get(name)
            if text is None:
                continue
            if hashlib.sha256(text.encode()).hexdigest() == sha256:
                found[key] = text
            else:
                wrong[key] = f"{name} in {file}: expected {length} characters with SHA-256 {sha256}, got {len(text)}"
    missing = [key for key, _, _ in WANTED.values() if key not in found]
    if missing:
        reasons = [wrong.get(key, f"{key}: not found in {', '.join(map(str, files))}") for key in missing]
        sys.exit("import_prompts: nothing was written:\n  " + "\n  ".join(reasons))
    return found


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    clone, model = map(pathlib.Path, sys.argv[1:])
    for folder in (clone, model):
        if not folder.is_dir():
            sys.exit(f"import_prompts: {folder}: expected a directory")
    prompts = PROTOCOL | find(clone)
    target = model / "prompts.yaml"
    # A JSON text is a YAML text, and keeps every space and line end.
    lines = [f"{key}: {json.dumps(text, ensure_ascii=False)}\n" for key, text in prompts.items()]
    part = target.with_suffix(".part")
    part.write_text("".join(lines), encoding="utf-8")
    part.replace(target)
    print(f"import_prompts: wrote {target}")


if __name__ == "__main__":
    main()

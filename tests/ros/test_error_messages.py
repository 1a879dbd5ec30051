"""Every error message in the sources says what was expected and what was got; `python3 test_error_messages.py` lists them.

What and where come first by the error's type (crates/cooper-model/src/error.rs): an input's, a parameter's or a file's name. Messages are
found where the code makes them: in `Error::…(…)`, `Err(…)`, `refuse(…)`, `.ok_or(…)`, `.map_err(…)`, `bail!(…)` and
`let why = …`.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOKEN = re.compile(
    r"""//[^\n]*|/\*.*?\*/|b?r(#*)".*?"\1|b?"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^\\'])'|[A-Za-z_]\w*!?|::|\S""", re.S
)
NAME = re.compile(r"[A-Za-z_]\w*!?|::|\.")
MAKES_AN_ERROR = re.compile(r"(^|\W)(Error::\w+|Err|bail!|refuse\w*|wrong|missing|ok_or(_else)?|map_err)$")

# Errors of these kinds are states or bugs of ours, not something that a user gave.
OTHER_KINDS = re.compile(r"Error::(Internal|NotReady|Busy|Canceled)$")
# A function whose first argument says what the message is about.
NAMES_ITS_SUBJECT = re.compile(r"(Error::(invalid|io)|wrong|missing|refuse)$")
# What another message is put behind.
PREFIX = re.compile(r'"([^" ]* ?[^" ]*: )?\{(e|error|why)?\}"$|"\{off\}; \{why\}"$|"encoding \{\}: \{e\}"$')
EXPECTED = re.compile(r"\bexpected\b|\baccepts\b")
GOT = re.compile(r"\b(got|found)\b|it is empty|\{(e|error|why)\}|unsupported encoding `\{name\}`|its (step|size) is")

# Those that say it in other words, and why.
EXCEPTIONS = {
    # clap puts `invalid value 'GOT' for 'WHAT':` before what a value's reader says.
    "expected a number above 0": "after clap's words",
    "expected direct, text, perception or interleaved": "after clap's words",
    "expected a name ending in .png": "after clap's words",
    "expected a whole number from {MIN} up": "after clap's words",
    "expected {expected}": "after clap's words",
    "there is no value": "never shown: the reader of names has no values",
    # Outcomes that a reply or a status tells beside its maps: what is missing, not what was given wrongly.
    "no depth map was drawn": "an outcome",
    "a predicted depth map has values that are no numbers": "a bug of ours",
    "is not a parameter of this node": "follows the name that was got",
    "nothing could be measured: {why}": "goes before the first one's message",
    "nothing is left to do: expected a --question, or maps": "what was got is the option that it names",
    "got {n} bytes of another format": "goes behind `expected a PNG or JPEG image`",
}
# The reference's fixtures are made by us: their key is named, and what it should hold.
FIXTURES = re.compile(r"conformance/golden\.rs$")


@dataclass
class Message:
    """A string literal in the place of an error message."""

    file: str
    line: int
    calls: list  # the calls around it, outermost first: name, and which argument it is in
    words: str

    def is_about_its_subject(self):
        """Whether it is the name of what is wrong, not what is wrong with it."""
        return any(NAMES_ITS_SUBJECT.search(name) and n == 0 and is_more for name, n, is_more in self.calls)

    def is_of_another_kind(self):
        return any(OTHER_KINDS.search(name) for name, *_ in self.calls) or self.calls[-1][0].endswith(".join")

    def problem(self):
        words = self.words.strip('"')
        if words in EXCEPTIONS or PREFIX.match(self.words) or FIXTURES.search(self.file):
            return None
        if not EXPECTED.search(words):
            return "does not say what was expected"
        return None if GOT.search(words) else "does not say what was got"


def has_more_arguments(text, at):
    """Whether a comma at its own depth comes before the call ends."""
    depth = 0
    for found in TOKEN.finditer(text, at):
        token = found.group()
        if token in "([{":
            depth += 1
        elif token in ")]}":
            depth -= 1
        if depth < 0:
            return False
        if token == "," and depth == 0:
            return re.match(r"\s*\)", text[found.end() :]) is None
    return False


def callee(before):
    """The name that the last tokens spell: `Error::invalid`, `.ok_or_else`, `format!`."""
    name = ""
    for token in reversed(before[-12:]):
        if not NAME.fullmatch(token):
            break
        name = token + name
    return name


def messages_of(path):
    text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
    calls, before, statement = [], [], []
    for found in TOKEN.finditer(text):
        token = found.group()
        if token.startswith(("//", "/*")):
            continue
        if token in "([{":
            calls.append([callee(before), 0, has_more_arguments(text, found.end())])
        elif token in ")]}" and calls:
            calls.pop()
        elif token == "," and calls:
            calls[-1][1] += 1
        elif re.match(r'r?#*"', token):
            makes_one = any(MAKES_AN_ERROR.search(name) for name, *_ in calls) or statement[:2] == ["let", "why"]
            if makes_one and re.search(r"[a-z]{2}.* .*[a-z]", token):  # not a name, not a separator
                words = re.sub(r"\\\n\s*", "", token)
                line = text.count("\n", 0, found.start()) + 1
                yield Message(str(path.relative_to(ROOT)), line, [tuple(call) for call in calls] or [("", 0, False)], words)
        before.append(token)
        statement = [] if token in ";{}" else statement + [token]


def messages():
    sources = [*ROOT.glob("src/**/*.rs"), *ROOT.glob("crates/*/src/**/*.rs")]
    for path in sorted(sources):
        if path.name != "tests.rs":
            for message in messages_of(path):
                if not (message.is_about_its_subject() or message.is_of_another_kind()):
                    yield message


def test_every_message_says_what_was_expected_and_got():
    found = list(messages())
    assert len(found) > 150, "the sources are read otherwise than they are written"
    problems = [f"{m.file}:{m.line}: {m.words} {problem}" for m in found if (problem := m.problem())]
    assert not problems, "\n".join(problems)


def test_exceptions_are_in_use():
    used = {message.words.strip('"') for message in messages()}
    assert set(EXCEPTIONS) <= used, set(EXCEPTIONS) - used


def test_a_message_that_says_too_little_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "wrong.rs").write_text(
        'fn f() { return Err(Error::invalid("question", "it is too long")); }\n'
        'fn g() { let why = format!("expected 1, got {n}"); x.ok_or_else(|| refuse("expected a text"))?; }\n'
        '#[cfg(test)]\nmod tests { fn h() { Err("never mind") } }\n'
    )
    told = [(m.words, m.problem()) for m in messages()]
    assert told == [
        ('"it is too long"', "does not say what was expected"),
        ('"expected 1, got {n}"', None),
        ('"expected a text"', "does not say what was got"),
    ]


if __name__ == "__main__":
    for each in messages():
        print(f"{each.file}:{each.line}: {each.words.strip(chr(34))}")

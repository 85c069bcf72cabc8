"""Errors about a text that is not YAML are in our words, whichever parser reads it."""

import random
import re
from collections.abc import Iterator

import pytest
import yaml

from bgpd.texts import yaml_text
from bgpd.texts.limits import CONFIGURATION, TextError
from bgpd.texts.yaml_text import CORE, compose
from tests.support.cases import cases

PARSERS = (yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
PIECES = (
    *"ab:- \n\t[]{},'\"|>&*!%@`?#\\x1.~<=u",
    *(": ", "- ", "\n  ", "\n\t", "? ", "%YAML 1.1\n", "%TAG ! x\n", "---\n", "...\n"),
    *("!!str ", "!<x", "!!%c3 ", "&a ", "*a ", "|2\n", '"\\x', '"\\u', "key: ", "é"),
)


@pytest.fixture(params=PARSERS, ids=["ours", "libyaml"], autouse=True)
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_text, "_Parser", request.param)


def fault(text: str) -> str:
    with pytest.raises(TextError) as caught:
        compose(text, CONFIGURATION, CORE)
    error = caught.value
    return f"{error.line}: {error.problem.removeprefix('not YAML: ')}"


@cases(
    ("text", "expected"),
    [
        ("bgp:\n\tas: 1\n", "2: a tab cannot indent; use spaces"),
        ("a:\n  - b\n\t- c\n", "3: a tab cannot indent; use spaces"),
        ("a: 1\nb: 'x\nc: 1\n", "2: the quote is never closed"),
        ("a: 1\nb\nc: 1\n", "2: expected ': ' after a key"),
        ("a: @x", "1: a value cannot begin with '@'; put the text in quotes"),
        (
            "a: ]",
            "1: expected a value, found ']'; a text that begins with it needs quotes",
        ),
        ("a: [\n", "2: expected a value, found the end of the text"),
        (
            "a: 'x' y",
            "1: expected the end of the line after a value; put the text in quotes",
        ),
        ("a: [1, 2\nb: 3", "2: expected ',' or ']' in the list that begins on line 1"),
        (
            "\na: {x: 1 y: 2}",
            "2: expected ',' or '}' in the mapping that begins on line 2",
        ),
        (
            "a:\n  b: 1\n c: 2\n",
            "3: expected a key in the column of the first one, on line 1",
        ),
        (
            "- a: 1\n c: 3",
            (
                "2: expected an item that begins with '-' in the column of the first one, "
                "on line 1"
            ),
        ),
        (
            "a: b: c",
            (
                "1: a second ': ' in a line, or a line that is indented too far; a text "
                "that has ': ' in it needs quotes"
            ),
        ),
        (
            "a: - b",
            "1: a list begins on a line of its own; expected a line break before '- '",
        ),
        (
            "a: *",
            (
                "1: expected a name after '&' or '*'; a text that begins with one needs "
                "quotes"
            ),
        ),
        (
            'a: "\\q"',
            (
                "1: unknown escape after a backslash; single quotes take backslashes as "
                "they are"
            ),
        ),
    ],
)
def test_each_fault_says_what_to_type(text: str, expected: str) -> None:
    assert fault(text) == expected


def texts(count: int) -> Iterator[str]:
    chance = random.Random(7)
    for _ in range(count):
        yield "".join(chance.choices(PIECES, k=chance.randint(2, 14)))


def test_every_fault_is_in_our_words_not_those_of_a_parser() -> None:
    seen = set()
    for text in texts(1_500):
        try:
            compose(text, CONFIGURATION, CORE)
        except TextError as error:
            seen.add(error.problem)
    assert len(seen) > 40
    foreign = re.compile(r"while (scanning|parsing)|did not find|\bgot\b|breaks YAML's")
    assert not [text for text in seen if foreign.search(text)]

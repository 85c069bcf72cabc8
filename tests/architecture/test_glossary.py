"""Names and texts that users see keep to docs/glossary.md, and all of them are documented."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Final, NamedTuple

import pytest

from bgpd.api.fields import FORMS
from tests.support import visible_names
from tests.support.json_page import DOCTOR
from tests.support.visible_names import ROOT

pytestmark = pytest.mark.xdist_group("sources")  # the code is read once
GLOSSARY: Final = ROOT / "docs/glossary.md"
PLAIN_WORDS: Final = ROOT / "tests/architecture/plain_words.txt"
WORD: Final = re.compile(r"[a-z]+[0-9]*|[0-9]+")
CODE: Final = re.compile(r"`([^`]+)`")
# What the kernel, libraries and other programs say, in their own words.
QUOTED: Final = re.compile(r"connection refused|could not tell", re.IGNORECASE)


class Term(NamedTuple):
    """A row of the glossary.

    Attributes:
        area: Heading above its table.
        name: The term.
        meaning: What it is.
        words: Those of the term and of the names that it has.
        avoided: What is not said for it, each as a pattern.
    """

    area: str
    name: str
    meaning: str
    words: frozenset[str]
    avoided: tuple[str, ...]


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


@cache
def rows() -> tuple[tuple[str, list[str]], ...]:
    found, area = [], ""
    for line in GLOSSARY.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            area = line[3:]
        elif line.startswith("| ") and not line.startswith(("| term |", "| instead")):
            found.append((area, [cell.strip() for cell in line[1:-1].split("|")]))
    return tuple(found)


@cache
def terms() -> tuple[Term, ...]:
    found = []
    for area, cells in rows():
        if len(cells) != 5:
            continue
        name, meaning, _, names, avoided = cells
        words = frozenset(words_of(" ".join((name, *CODE.findall(names)))))
        patterns = tuple(each.strip() for each in avoided.split(",") if each.strip())
        found.append(Term(area, name, meaning, words, patterns))
    return tuple(found)


def replaced() -> Iterator[str]:
    """Yield what the last table replaces."""
    for _, cells in rows():
        if len(cells) == 3:
            yield cells[0]


@cache
def plain_words() -> frozenset[str]:
    return frozenset(PLAIN_WORDS.read_text(encoding="utf-8").split())


def names() -> Iterator[tuple[str, str]]:
    """Yield every name that a user sees, and what kind of name it is."""
    for key in visible_names.json_keys():
        yield "JSON key", key
    for name, _ in visible_names.metrics():
        yield "metric or label", name
    for name, _ in visible_names.commands():
        yield "command or option", name
    for title in visible_names.columns():
        yield "column", title
    for key, _ in visible_names.configuration_keys():
        yield "configuration key", key
    for name in visible_names.log_fields():
        yield "log field", name
    for name in visible_names.log_events():
        yield "log event", name


def texts() -> Iterator[tuple[str, str]]:
    """Yield every text that a user may see, with its place."""
    for name, text in visible_names.metrics():
        yield f"metric {name}", text
    for name, text in visible_names.commands():
        yield f"help of {name}", text
    for name, text in visible_names.configuration_keys():
        yield f"configuration key {name}", text
    yield from visible_names.log_messages()
    yield from visible_names.texts()


def avoided() -> re.Pattern[str]:
    patterns = [each for term in terms() for each in term.avoided]
    patterns += replaced()
    joined = "|".join(
        re.escape(each).replace(r"\*", r"\w*") for each in sorted(set(patterns))
    )
    return re.compile(rf"(?<![\w-])(?:{joined})(?![\w-])", re.IGNORECASE)


def test_the_glossary_has_a_table_for_each_area() -> None:
    by_area: dict[str, int] = {}
    for term in terms():
        by_area[term.area] = by_area.get(term.area, 0) + 1
        assert term.meaning, term.name
        assert term.name, term.area
    assert len(by_area) > 6
    assert all(by_area.values())
    names_of = [term.name for term in terms()]
    assert len(names_of) == len(set(names_of))


def test_no_term_is_also_avoided() -> None:
    pattern = avoided()
    for term in terms():
        said = [part for part in term.name.split(",") if pattern.search(part)]
        assert said == [], term.name


def test_the_field_finds_its_terms() -> None:
    known = " ".join(term.name.lower() for term in terms())
    for term in (
        *("advertise", "withdraw", "filtered", "reject", "stale", "slow peer"),
        *("soft reset", "next-hop tracking", "redistribute", "selection deferral"),
        *("restarting speaker", "gr helper", "update group", "dynamic neighbour"),
    ):
        assert term in known


def test_every_word_of_a_name_is_plain_english_or_a_term() -> None:
    known = plain_words().union(*(term.words for term in terms()))
    unknown = {
        f"{kind} {name}: {word}"
        for kind, name in names()
        for word in words_of(name)
        if word not in known and not word.isdigit()
    }
    assert unknown == set()


def test_no_name_has_a_word_that_the_glossary_replaces() -> None:
    pattern = avoided()
    found = {
        f"{kind} {name}"
        for kind, name in names()
        if pattern.search(name.lower())
        or pattern.search(re.sub(r"[_-]", " ", name.lower()))
    }
    assert found == set()


def test_no_text_has_a_word_that_the_glossary_replaces() -> None:
    pattern = avoided()
    found = [
        f"{place}: {match[0]!r} in {text[:80]!r}"
        for place, text in texts()
        if (match := pattern.search(QUOTED.sub("", text)))
    ]
    assert found == []


def test_plain_words_are_used_and_in_order() -> None:
    listed = PLAIN_WORDS.read_text(encoding="utf-8").split()
    assert listed == sorted(set(listed))
    used = {word for _, name in names() for word in words_of(name)}
    assert set(listed) <= used
    assert not set(listed) & frozenset().union(*(term.words for term in terms()))


def test_every_key_of_an_answer_is_declared_and_exists() -> None:
    declared = {
        each.name
        for name, form in FORMS.items()
        if name != "problem"
        for each in form.fields
    }
    rows = [
        line.split("|")[1] for line in DOCTOR.splitlines() if line.startswith("| `")
    ]
    declared |= {name for row in rows for name in CODE.findall(row)}
    keys = visible_names.json_keys()
    assert keys - declared == set()
    assert declared - keys == set()


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    for name, _ in visible_names.metrics():
        assert name in page


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs/commands.md").read_text(encoding="utf-8")
    lines = [*visible_names.command_lines()]
    assert "show groups" in lines
    assert [line for line in lines if f"`pybgpctl {line}" not in page] == []

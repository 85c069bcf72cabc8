"""What the documentation says is true: its links, commands, examples, generated pages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bgpd.config.base import Section
from bgpd.config.document import parse_document
from bgpd.config.model import DaemonConfig
from bgpd.config.validation import validate
from tests.support import console
from tests.support.cases import cases
from tests.support.generated import PAGES, ROOT

DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("configs/**/*.md")]
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MODULE = re.compile(r"`bgpd\.([a-z_]+)\.([a-z_]+)(?:\.\w+)*`")
PATH = re.compile(r"`((?:bgpd|configs|docs|fib|reflector|rib|tests)/[\w./-]+)`")
METRIC = re.compile(r"\bpybgpd_[a-z_]+[a-z]\b")
INLINE = re.compile(r"`(pybgpctl [^`]+)`")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
MAX_README = 150  # lines
SEPARATORS = frozenset({"|", "||", "&&", "&", ";"})


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    for path in DOCUMENTS:
        for language, text in FENCE.findall(path.read_text(encoding="utf-8")):
            if language in languages:
                yield str(path.relative_to(ROOT)), text


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield the simple commands of console blocks, without what runs them elsewhere."""
    for path in DOCUMENTS:
        for command in console.commands(path, ROOT):
            line = command.text.replace("\\\n", " ").splitlines()[0]
            words: list[str] = []
            for word in [*shlex.split(line, comments=True), ";"]:
                if word in SEPARATORS or word.endswith(";"):
                    if words and word.endswith(";") and word != ";":
                        words.append(word[:-1])
                    if words:
                        yield command.place, bare(words)
                    words = []
                else:
                    words.append(word)


def bare(words: list[str]) -> list[str]:
    """Return a command without ``sudo``, a namespace, or redirections."""
    if words[0] == "sudo":
        words = words[1:]
    if words[:3] == ["ip", "netns", "exec"]:
        words = words[4:]
    ends = (n for n, word in enumerate(words) if re.match(r"\d?>", word))
    return words[: next(ends, len(words))]


def anchors(path: Path) -> set[str]:
    headings = HEADING.findall(path.read_text(encoding="utf-8"))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


@cases("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue  # the network's matter
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def test_modules_that_are_named_exist() -> None:
    named = {
        (str(path.relative_to(ROOT)), *names)
        for path in DOCUMENTS
        for names in MODULE.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    for document, package, name in named:
        place = ROOT / "bgpd" / package / name
        assert place.is_dir() or place.with_suffix(".py").is_file(), (document, name)


def test_paths_that_are_named_exist() -> None:
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in DOCUMENTS
        for name in PATH.findall(path.read_text(encoding="utf-8"))
    }
    assert len(named) > 20
    assert {(document, name) for document, name in named if not exists(name)} == set()


def exists(name: str) -> bool:
    return (ROOT / name).exists()


def test_metrics_that_are_named_exist() -> None:
    page = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    known = set(METRIC.findall(page))
    named = {
        (str(path.relative_to(ROOT)), name)
        for path in DOCUMENTS
        if path.name != "CHANGELOG.md"
        for name in METRIC.findall(path.read_text(encoding="utf-8"))
    }
    assert len(known) > 40
    assert {each for each in named if each[1] not in known} == set()


@pytest.mark.parametrize("name", sorted(PAGES))
def test_generated_pages_are_fresh(name: str) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == PAGES[name](), "run: make docs"


def test_yaml_in_the_documentation_is_configuration_that_loads() -> None:
    for name, text in blocks("yaml"):
        if re.search(r"^(apiVersion|kind):", text, re.MULTILINE):
            continue  # a manifest of Calico or Kubernetes
        _, problems = validate(parse_document(text, name))
        assert problems == []


def check_command(root: click.Command, words: list[str]) -> None:
    """Follow ``words`` down the tree of commands and see that each option exists."""
    command, context = root, click.Context(root)
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        options = {
            name: option
            for option in command.params
            for name in (*option.opts, *option.secondary_opts)
        }
        if word.startswith("-"):
            name, has_equals, _ = word.partition("=")
            if name == "--help":
                continue
            assert name in options, f"{command.name} has no option {name}"
            option = options[name]
            is_flag = isinstance(option, click.Option) and option.is_flag
            if not is_flag and not has_equals:
                del waiting[:1]
        elif isinstance(command, click.Group):
            inner = command.get_command(context, word)
            assert inner is not None, f"there is no command {command.name} {word}"
            command, context = inner, click.Context(inner, parent=context)


def test_commands_of_the_documentation_exist() -> None:
    from bgpd.cli.control import main as pybgpctl  # noqa: PLC0415 - only this test
    from bgpd.cli.daemon import main as pybgpd  # noqa: PLC0415 - needs the commands

    roots = {"pybgpd": pybgpd, "pybgpctl": pybgpctl}
    seen = 0
    for _, words in commands():
        if words and (root := roots.get(Path(words[0]).name)):
            check_command(root, words[1:])
            seen += 1
    assert seen > 40


def test_the_readme_is_short() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) < MAX_README


def test_commands_within_sentences_exist() -> None:
    from bgpd.cli.control import main as pybgpctl  # noqa: PLC0415 - only this test

    found = {
        tuple(leading_words(text))
        for path in DOCUMENTS
        for text in INLINE.findall(path.read_text(encoding="utf-8"))
    }
    assert len(found) > 10
    for each in found:
        check_command(pybgpctl, list(each[1:]))


def leading_words(text: str) -> Iterator[str]:
    """Yield the words of a command up to the first placeholder or value."""
    for word in text.split():
        if not re.fullmatch(r"-*[a-z][a-z0-9-]*", word):
            return
        yield word


def test_the_index_has_each_page_once_in_a_line_of_its_own() -> None:
    text = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\* \[[^\]]+\]\(([\w/-]+\.md)\)$", text, re.MULTILINE)
    assert len(entries) == len(set(entries))
    pages = {
        str(path.relative_to(ROOT / "docs"))
        for path in DOCUMENTS
        if path.is_relative_to(ROOT / "docs")
    }
    wanted = {page for page in pages if not re.match(r"adr/\d", page)} - {"index.md"}
    assert set(entries) == wanted


def test_every_section_of_the_configuration_is_on_its_page() -> None:
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    sections = [
        name
        for name, field in DaemonConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
    ]
    assert "journal" in sections
    assert [name for name in sections if f"\n## {name}\n" not in page] == []

"""What the documentation says is true: its links, commands, examples, generated pages."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bgpd.config.document import parse_document
from bgpd.config.validation import validate
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
SHELL = frozenset(
    {
        *("sudo", "apt", "cd", "cp", "git", "ip", "curl", "kill"),
        *("systemctl", "kubectl", "calicoctl", "etcdctl", "podman"),
    }
)


def blocks(*languages: str) -> Iterator[tuple[str, str]]:
    for path in DOCUMENTS:
        for language, text in FENCE.findall(path.read_text(encoding="utf-8")):
            if language in languages:
                yield str(path.relative_to(ROOT)), text


def commands() -> Iterator[tuple[str, list[str]]]:
    """Yield what stands behind a ``$`` in console blocks."""
    for name, text in blocks("console"):
        for line in text.replace("\\\n", " ").splitlines():
            if line.startswith(("$ ", "# ")):
                yield name, shlex.split(line[2:], comments=True)


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
    targets = re.findall(
        r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    for name, words in commands():
        where = f"{name}: {' '.join(words)}"
        program = Path(words[0]).name
        if program == "sudo":
            words = words[1:]  # noqa: PLW2901 - what sudo runs is the command
            program = Path(words[0]).name
        if program in roots:
            check_command(roots[program], words[1:])
        elif program == "make":
            names = [word for word in words[1:] if "=" not in word]
            assert set(names) <= set(targets), where
        else:
            assert program in SHELL, where


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

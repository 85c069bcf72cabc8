"""Phrases that no native speaker would write, in docstrings, comments, texts, pages, names of tests.

``python -m tests.support.prose`` prints each occurrence, and with ``--write`` lowers the
numbers in the list of exceptions, ``tests/architecture/calques.txt``.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
EXCEPTIONS: Final = ROOT / "tests/architecture/calques.txt"
SUFFIXES: Final = (".py", ".md", ".yaml", ".yml", ".toml")
# The lists themselves, decisions as they were taken, past releases, generated code.
LEFT_OUT: Final = re.compile(
    r"docs/glossary\.md|docs/adr/|tests/(support/prose|architecture/test_english)\.py"
    r"|CHANGELOG\.md|.*_pb2\.py"
)

# A pattern, and what to write in its place.
CALQUES: Final = MappingProxyType(
    {
        r"anew": "again",
        r"whoever": "any peer that, the process that",
        r"whomever": "whom, the one that",
        r"(?:can|could|may|cannot|can't|to|shall|must) be had": "is available",
        r"becom\w+ of": "happens to",
        r"so far as": "as far as",
        r"(?:than|as) so far": "than before",
        r"of (?:ours|theirs)": "our, their",
        r"where there (?:is|are) none": "if there is none, without one",
        r"where there (?:is|are) one": "if there is one",
        r"of which there (?:is|are)": "that exists",
        r"(?:is|are|was|were|be|been|being) told": "gets, receives, is advertised to",
        r"told (?:again|last|first|once|apart|of)": "advertised, reported",
        r"(?:is|are|was|were|be) looked (?:at|for)": "we check, it examines",
        r"(?:is|are|was|were|be) asked for": "we request, it needs",
        r"what (?:is|was) asked": "the request",
        r"(?:a|the|this|no) look at": "check, examine",
        r"(?:is|are|was|were) passed over": "skipped",
        r"(?:stay|stays|stayed) as (?:it|they) (?:was|were|is|are)": "keeps its state",
        r"stands? twice": "is a duplicate",
        r"told apart": "distinguished",
        r"nobody'?s?": "no peer, no process",
        r"somebody": "a user, an operator",
        r"(?<!there )(?:is|are|was|were) no (?!longer|more|less|better|worse|need|one|such|other|"
        r"reason|loss|problem|surprise|news)\w+": "is not a",
        r"(?:has|have|does|do) no more(?! than| \w)": "no longer has",
        r"(?:test|to|for|of) who (?:is|was|has|had|does|cannot|\w+s|left|moved)": "a peer that",
        r"(?:is|are|was|were) not taken": "is not supported",
        r"(?:is|are|was|were) said": "is reported, logged, an error",
        r"in the place of": "instead of",
        r"(?:look|follow|send|try|wait)s? no more": "stop looking, stop following",
        r"at its (?:end|ends)": "when it ends",
        r"see(?:s)? to it that": "ensures that",
        r"let (?:it|them|us) (?:be|become)": "make",
        r"shall(?:n't)?": "must, should, will",
        r"as (?:yet|it were)": "yet, so to speak",
        r"(?:is|are) of (?:another|no|the same) (?:kind|family|AS)": "has another",
        r"the (?:latter|former) (?:holds|stays)": "the previous one stays",
        r"by (?:halves|turns)": "partly, alternately",
        r"mended": "repaired, fixed",
        r"stumbl\w+ over": "hits",
    }
)
_PATTERNS: Final = {
    re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE): better
    for pattern, better in CALQUES.items()
}
_NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_ANY: Final = re.compile(rf"\b(?:{'|'.join(CALQUES).lower()})")


class Found(NamedTuple):
    """One occurrence: where, what, and what would be better."""

    path: str
    line: int
    phrase: str
    better: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.path}:{self.line}: {self.phrase!r}: {self.better}"


def files() -> Iterator[str]:
    """Yield what the version control knows, except what is left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.splitlines():
        is_source = name.endswith(SUFFIXES) and (ROOT / name).exists()
        if is_source and not LEFT_OUT.match(name):
            yield name


def find(name: str, text: str) -> Iterator[Found]:
    """Yield the calques of a text; a phrase may be broken over lines."""
    passages = _of_code(text) if name.endswith(".py") else _paragraphs(text)
    for first, passage in passages:
        flat = re.sub(r"\s", " ", passage)
        for pattern, better in _PATTERNS.items():
            for match in pattern.finditer(flat):
                line = first + passage.count("\n", 0, match.start())
                yield Found(name, line, match[0], better)


def occurrences(name: str) -> Iterator[Found]:
    """Yield the calques of a file."""
    text = (ROOT / name).read_text(encoding="utf-8")
    # Most files have none, and to take one apart costs ten times what this does. A phrase may
    # be broken over lines of a comment, over strings that follow each other, or be in a name.
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text)
    flat = re.sub(r"[\s#_]+|['\"]\s*f?['\"]", " ", words.lower()).replace("  ", " ")
    return find(name, text) if _ANY.search(flat) else iter(())


def _of_code(text: str) -> Iterator[tuple[int, str]]:
    """Yield first line and text of each string, block of comments, and name of a test."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        if isinstance(node, _NAMED) and node.name.lower().startswith("test"):
            words = re.sub(r"_|(?<=[a-z])(?=[A-Z])", " ", node.name)
            yield node.lineno, words
    yield from _comments(text)


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    start, lines = 1, list[str]()
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if line.strip():
            start = start if lines else number
            lines.append(line)
        elif lines:
            yield start, "\n".join(lines)
            lines = []


def _comments(source: str) -> Iterator[tuple[int, str]]:
    start, last, lines = 0, 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if lines and token.start[0] != last + 1:
            yield start, "\n".join(lines)
            lines = []
        start, last = token.start[0] if not lines else start, token.start[0]
        lines.append(token.string.lstrip("# "))
    if lines:
        yield start, "\n".join(lines)


@cache
def counts() -> dict[str, int]:
    """Return how many calques each file has; those without any are left out."""
    numbers = {name: sum(1 for _ in occurrences(name)) for name in files()}
    return {name: number for name, number in sorted(numbers.items()) if number}


def allowed() -> dict[str, int]:
    """Return how many calques each file may have at most."""
    rows = map(str.split, EXCEPTIONS.read_text(encoding="utf-8").splitlines())
    return {name: int(number) for number, name in rows}


def shrunk(before: Mapping[str, int], now: Mapping[str, int]) -> dict[str, int]:
    """Return the exceptions that are left: none is added and no number grows."""
    return {name: min(most, now[name]) for name, most in before.items() if name in now}


def main(arguments: list[str]) -> None:
    """Print occurrences, or write the list of exceptions."""
    if "--write" in arguments:
        left = shrunk(allowed(), counts())
        lines = [f"{number} {name}\n" for name, number in left.items()]
        EXCEPTIONS.write_text("".join(lines), encoding="utf-8")
        return
    for name in arguments or files():
        for found in occurrences(name):
            sys.stdout.write(f"{found}\n")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Every log call of the program, read from its code: event, texts, fields."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("bgpd", "fib", "rib", "reflector")
MODULES: Final = sorted(
    path for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)
PLACEHOLDER: Final = re.compile(r"%(?:\((\w+)\))?[-+ #0-9.]*[a-zA-Z%]")
LEVELS: Final = frozenset(
    {"debug", "info", "warning", "error", "exception", "critical", "log"}
)
STEP: Final = ("kind", "address", "peer", "range", "prefix", "policy", "key")
# What a value may be unfolded from, and the fields that it gives.
UNFOLDED: Final = {
    r"peer_fields\(.*\)": ("peer", "address"),
    r"peer_of\(\w+\)": ("peer", "address"),
    r"step_fields\(.*\)": STEP,
    r"\w+\._asdict\(\)": ("table", "protocol"),  # of a place in the kernel
}


class LogCall(NamedTuple):
    """A call.

    Attributes:
        place: File and line.
        module: Its name, which the logger has.
        levels: It may be one of several.
        events: As levels.
        texts: As levels, with their placeholders.
        fields: Names, in order, with the code of each value.
        similar: Names of the fields that make lines similar; empty for the default.
        scope: Code of the function around it.
        conditions: Code that chooses between two ``levels``, ``events`` or ``texts``.
    """

    place: str
    module: str
    levels: tuple[str, ...]
    events: tuple[str, ...]
    texts: tuple[str, ...]
    fields: dict[str, str]
    similar: tuple[str, ...]
    scope: str
    conditions: dict[str, str]

    def of(self, event: str, parts: str) -> tuple[str, ...]:
        """Return the levels or texts that go with an event, by the condition of both."""
        found: tuple[str, ...] = getattr(self, parts)
        if len(self.events) == len(found) == 2 and (
            self.conditions["events"] == self.conditions[parts]
        ):
            return (found[self.events.index(event)],)
        return found

    @property
    def shown(self) -> frozenset[str]:
        """Fields that a text has."""
        return frozenset(
            name for text in self.texts for name in PLACEHOLDER.findall(text) if name
        )


class UnreadableError(Exception):
    """A call is not as docs/style.md has it; the text says why."""


@cache
def log_calls() -> tuple[LogCall, ...]:
    """Return all calls, in order of files.

    Raises:
        UnreadableError: One cannot be read.
    """
    return tuple(call for path in MODULES for call in calls_in(path))


def calls_in(path: Path) -> Iterator[LogCall]:
    """Yield the calls of a module; see ``log_calls``."""
    name = str(path.relative_to(ROOT))
    yield from calls_of(path.read_text(encoding="utf-8"), name)


def calls_of(code: str, name: str) -> Iterator[LogCall]:
    """Yield the calls of a module's code; see ``log_calls``."""
    if "_log." not in code:
        return
    tree = ast.parse(code)
    constants = {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    scopes = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    for node in ast.walk(tree):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id="_log"), attr=method)
            ) if method in LEVELS:
                around = [
                    scope
                    for scope in scopes
                    if scope.lineno <= node.lineno <= (scope.end_lineno or 0)
                ]
                scope = ast.unparse(around[-1]) if around else ""
                try:
                    yield _read(node, method, name, scope, constants)
                except UnreadableError as error:
                    text = f"{name}:{node.lineno}: {error}"
                    raise UnreadableError(text) from None
            case _:
                pass


def _read(
    node: ast.Call,
    method: str,
    name: str,
    scope: str,
    constants: dict[str, ast.expr | None],
) -> LogCall:
    args = list(node.args)
    levels: tuple[str, ...] = ("error" if method == "exception" else method,)
    conditions = {"levels": "", "texts": "", "events": ""}
    if method == "log":
        conditions["levels"] = _condition(args[0])
        found = re.findall(r"logging\.([A-Z]+)", ast.unparse(args.pop(0)))
        levels = tuple(level.lower() for level in found)
    if len(args) != 2 or not isinstance(args[1], ast.Dict):
        raise UnreadableError("takes a text and one dictionary of fields")
    texts = _texts_of(args[0], constants)
    conditions["texts"] = _condition(args[0])
    fields: dict[str, str] = {}
    events: tuple[str, ...] = ()
    for number, (key, value) in enumerate(
        zip(args[1].keys, args[1].values, strict=True)
    ):
        if key is None:
            for unfolded in _unfolded(ast.unparse(value)):
                fields[unfolded] = ast.unparse(value)
        elif not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            raise UnreadableError("a field's name is not a constant")
        elif number == 0:
            if key.value != "event":
                raise UnreadableError("its first field is not the event")
            events = _texts_of(value, constants)
            conditions["events"] = _condition(value)
        elif key.value in fields:
            raise UnreadableError(f"has {key.value} twice")
        else:
            fields[key.value] = ast.unparse(value)
    return LogCall(
        f"{name}:{node.lineno}",
        name.removesuffix(".py").replace("/", "."),
        levels,
        events,
        texts,
        fields,
        tuple(_similar(node)),
        scope,
        conditions,
    )


def _condition(node: ast.expr) -> str:
    return ast.unparse(node.test) if isinstance(node, ast.IfExp) else ""


def _texts_of(node: ast.expr, constants: dict[str, ast.expr | None]) -> tuple[str, ...]:
    """Return what a text may be: a constant, one of a module, or one of two."""
    if isinstance(node, ast.IfExp):
        return _texts_of(node.body, constants) + _texts_of(node.orelse, constants)
    if isinstance(node, ast.Name):
        node = constants.get(node.id) or node
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    raise UnreadableError("its text or event is not a constant")


def _unfolded(code: str) -> tuple[str, ...]:
    for pattern, names in UNFOLDED.items():
        if re.fullmatch(pattern, code):
            return names
    raise UnreadableError(f"unfolds {code}")


def _similar(node: ast.Call) -> Iterator[str]:
    for keyword in node.keywords:
        if keyword.arg != "extra":
            continue
        if not isinstance(keyword.value, ast.Call):
            raise UnreadableError("extra is not a call of alike")
        for each in keyword.value.args:
            if not isinstance(each, ast.Constant):
                raise UnreadableError("alike takes names of fields")
            yield from str(each.value).split()

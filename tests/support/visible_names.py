"""Every name and every text that a user of the daemon sees, found in the code itself."""

import ast
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final

import click

import bgpd.cli.calico
import bgpd.cli.tables
from bgpd.api.metrics import ROWS
from bgpd.cli.control import main as pybgpctl
from bgpd.cli.daemon import main as pybgpd
from bgpd.cli.layout import Column
from bgpd.config.base import Section
from bgpd.config.model import DaemonConfig
from bgpd.config.schema import annotation_of, keys_of, section_in
from bgpd.datastore.kubernetes.access import ApiStatus
from bgpd.datastore.model import NodesRead
from bgpd.session.settings import FamilySettings
from fib.routes import FibCounts
from tests.support.log_calls import log_calls
from tests.support.log_events_page import OWN
from tests.support.sources import nodes_of

ROOT: Final = Path(__file__).parents[2]

_ANSWERS: Final = (
    *(ROOT / "bgpd/show").glob("*.py"),
    ROOT / "bgpd/daemon/config_commit.py",
    ROOT / "bgpd/node/removal_holds.py",
    ROOT / "rib/attributes/text.py",
    ROOT / "bgpd/cli/doctor/report.py",
)
_NO_ANSWERS: Final = {
    "commands.py",
    "route_filter.py",
}  # their dictionaries are of commands and arguments
_SPELLINGS: Final = {"ipv4", "ipv6"}  # short for the names of families
_RECORDS: Final = (FibCounts, ApiStatus, NodesRead)

# BIRD's protocol has BIRD's words; labs are for those who make the daemon.
_FOREIGN: Final = (
    "bgpd/show/bird/",
    "bgpd/lab/",
    "bgpd/cli/bird",
    "bgpd/cli/foreign",
    "bgpd/cli/lab",
)


def json_keys() -> frozenset[str]:
    """Return the keys of all answers."""
    found = {field.name for record in _RECORDS for field in fields(record)}
    settings = {field.name for field in fields(FamilySettings)}
    found |= {name for name in settings if name.endswith("_action")}
    found |= {f"{kind}_prefixes" for kind in ("gained", "lost", "changed")}
    found |= {"gained", "lost", "changed"}
    for path in _ANSWERS:
        if path.name in _NO_ANSWERS:
            continue
        for node in nodes_of(path):
            if isinstance(node, ast.Dict):
                keys = [
                    key.value
                    for key in node.keys
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                ]
                if keys[:1] != ["event"]:  # else they are those of a log line
                    found |= {*keys}
    return frozenset(found - _SPELLINGS | {"lines"})


def metrics() -> Iterator[tuple[str, str]]:
    """Yield each metric's name with its labels' names, and its text."""
    for row in ROWS:
        yield row.name, row.help
        for label in row.labels:
            yield label, ""


def commands() -> Iterator[tuple[str, str]]:
    """Yield each command and option of both programs, with its help."""
    for root in (pybgpctl, pybgpd):
        yield from _of_command(root)


def command_lines() -> Iterator[str]:
    """Yield how each command of ``pybgpctl`` is called, such as ``show routes``."""
    for name, command in pybgpctl.commands.items():
        if isinstance(command, click.Group):
            yield from (f"{name} {inner}" for inner in command.commands)
        else:
            yield name


def _of_command(command: click.Command) -> Iterator[tuple[str, str]]:
    yield command.name or "", command.help or ""
    for param in command.params:
        is_option = isinstance(param, click.Option)
        text = (param.help or "") if isinstance(param, click.Option) else ""
        for name in param.opts if is_option else ():
            yield name.lstrip("-"), text
        if isinstance(param.type, click.Choice):
            for choice in param.type.choices:
                yield str(choice), ""
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            if name != "lab":
                yield from _of_command(inner)


def columns() -> Iterator[str]:
    """Yield the titles of all tables."""
    for module in (bgpd.cli.tables, bgpd.cli.calico):
        for value in vars(module).values():
            if isinstance(value, tuple):
                yield from (each.title for each in value if isinstance(each, Column))


def configuration_keys() -> Iterator[tuple[str, str]]:
    """Yield each key of the configuration with its description."""
    waiting: list[type[Section]] = [DaemonConfig]
    seen: set[type[Section]] = set()
    while waiting:
        section = waiting.pop()
        if section in seen:
            continue
        seen.add(section)
        for key, field in keys_of(section).items():
            yield key, field.description or ""
            inner = section_in(annotation_of(field))
            if inner is not None:
                waiting.append(inner)


def texts() -> Iterator[tuple[str, str]]:
    """Yield all texts of the program except docstrings, with their places.

    Log messages, reasons, errors, remarks and pages are among them. What has no space is
    an identifier and no text.
    """
    for package in ("bgpd", "fib", "rib", "reflector"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if not name.startswith(_FOREIGN) and not name.endswith("_pb2.py"):
                for line, text in _texts_in(nodes_of(path)):
                    yield f"{name}:{line}", text


def _texts_in(nodes: Sequence[ast.AST]) -> Iterator[tuple[int, str]]:
    documentation = {
        id(statement.value)
        for node in nodes
        if isinstance(
            node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
        )
        for statement in node.body
        if isinstance(statement, ast.Expr)
    }
    for node in nodes:
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in documentation
            and " " in node.value
        ):
            yield node.lineno, node.value


def log_messages() -> Iterator[tuple[str, str]]:
    """Yield what is logged, with its place: a log line without a space is one, too."""
    for call in log_calls():
        yield from ((call.place, text) for text in call.texts)


def log_fields() -> frozenset[str]:
    """Return the names of all fields of log lines."""
    return frozenset(name for call in log_calls() for name in call.fields)


def log_events() -> frozenset[str]:
    """Return the names of all events that are logged."""
    own = {event for event, *_ in OWN}
    return frozenset(own.union(*(call.events for call in log_calls())))

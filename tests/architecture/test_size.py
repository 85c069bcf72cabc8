"""Functions and classes stay small enough to read; exceptions may only shrink.

A module has no limit of its own: it holds one responsibility, however many lines that
takes. What grows without anybody noticing is a class, by one method and one field at a
time.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.sources import ROOT, modules, nodes_of, tree_of

pytestmark = pytest.mark.xdist_group("sources")  # the code is read once
MAX_FUNCTION = 60  # lines, docstring excluded
MAX_METHODS = 25  # of a class, properties and special methods included
MAX_FIELDS = 12  # that its methods assign to ``self``; a record's columns do not count
MAX_FOLDERS = 3

# "path:function": lines. May only shrink.
LONGER_FUNCTIONS: dict[str, int] = {}
# "path:class": (methods, fields). May only shrink. Each has one responsibility; why it is larger
# than most stands above it.
LARGER_CLASSES: dict[str, tuple[int, int]] = {
    # One view of a cluster: half of the fields are the parts that planning reads.
    "bgpd/calico/topology.py:Topology": (16, 15),
    # One watch over another, and what it must know of both.
    "bgpd/datastore/claimed.py:ClaimedBlocks": (9, 13),
    # The acts of a play, one method each.
    "bgpd/lab/demo.py:Demo": (26, 6),
    # The socket side of one peer: half of the methods are callbacks of the session or loop.
    "bgpd/net/driver.py:PeerDriver": (37, 21),
    # One thread and one queue, with their counters.
    "bgpd/runtime/log_writer.py:LogWriter": (8, 13),
    # RFC 4271 8 is one machine: its actions are methods, its attributes are fields.
    "bgpd/session/connection_fsm.py:Connection": (42, 21),
    # Collision detection (RFC 4271 6.8) is about all connections of a peer at once.
    "bgpd/session/connections.py:Connections": (30, 16),
    # The inputs and outputs of a sans-IO session, few lines each.
    "bgpd/session/peer.py:PeerSession": (37, 5),
    "bgpd/speaker/selection_deferral.py:SelectionDeferral": (17, 13),
    # Hot: what does not change for a group is worked out once and kept.
    # Hot, likewise, for a session.
    "rib/import_checks.py:ImportChecks": (8, 15),
    # Hot: one table, and a method for each kind of change by which batches differ.
    "rib/loc_rib.py:LocRib": (30, 8),
}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    end = function.end_lineno or function.lineno
    lines = end - function.lineno + 1
    if ast.get_docstring(function, clean=False) is not None:
        text = function.body[0]
        lines -= (text.end_lineno or text.lineno) - text.lineno + 1
    return lines


def functions() -> Iterator[tuple[str, int]]:
    for path in modules():
        for node in nodes_of(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", length(node)


def extent(cls: ast.ClassDef) -> tuple[int, int]:
    """Return how many methods a class has, and how many fields they assign."""
    methods = [
        node
        for node in cls.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    fields = {
        node.attr
        for method in methods
        for node in ast.walk(method)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    return len(methods), len(fields)


def classes() -> Iterator[tuple[str, tuple[int, int]]]:
    for path in modules():
        for node in nodes_of(path):
            if isinstance(node, ast.ClassDef):
                yield f"{path.relative_to(ROOT)}:{node.name}", extent(node)


def test_classes_have_one_responsibility() -> None:
    larger = {
        name: (methods, fields)
        for name, (methods, fields) in classes()
        if methods > MAX_METHODS or fields > MAX_FIELDS
    }
    assert larger == LARGER_CLASSES


def test_functions_are_short() -> None:
    longer = {name: lines for name, lines in functions() if lines > MAX_FUNCTION}
    assert longer == LONGER_FUNCTIONS


def test_folders_are_not_deep() -> None:
    deep = [
        path
        for path in modules()
        if len(path.relative_to(ROOT).parts) > MAX_FOLDERS + 1
    ]
    assert deep == []


def test_every_package_says_what_it_is_for() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules()
        if not ast.get_docstring(tree_of(path))
    ]
    assert silent == []

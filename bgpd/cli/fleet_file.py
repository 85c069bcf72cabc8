"""A file that names the daemons of many machines.

Lines of text, each a name, and the URL of an API or the path of a control socket; then, if needed,
files with its token and with the certificates that sign its own. Or YAML, in a file so named:

    token_file: read.token            # for all nodes that name none
    ca_file: ca.pem
    nodes:
      - {name: node-1, url: https://10.0.0.1:9180}
      - {name: here, control: /run/pybgpd/pybgpd.sock}
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NoReturn

import click

from bgpd.api.client import Remote
from bgpd.cli.fleet_options import Node
from bgpd.texts.files import read_text
from bgpd.texts.limits import MIB, Limits, TextError

_YAML: Final = (".yaml", ".yml")
_LIMITS: Final = Limits(MIB, 100_000, 8)
_MOST_WORDS: Final = 4  # of a line: name, place, token file, CA file
_SHARED: Final = ("token_file", "ca_file", "tls_name")
_OF_FILE: Final = ("nodes", *_SHARED)
_OF_NODE: Final = ("name", "url", "control", *_SHARED)
_URLS: Final = ("http://", "https://")
_EXPECTED: Final = "expected NAME and URL or PATH"


def read_nodes(file: Path, api: Remote) -> list[Node]:
    """Return the nodes of a file.

    Args:
        file: YAML, if its name says so; else lines.
        api: Token file, CA file and TLS name for nodes that have none in the file.

    Raises:
        UsageError: It cannot be read, or something in it is wrong: with its line.
    """
    try:
        return _nodes(file, api)
    except OSError as error:
        raise click.UsageError(f"--from {file}: {error.strerror or error}") from error
    except TextError as error:
        place = f"{file}:{error.line}" if error.line else f"{file}"
        raise click.UsageError(f"--from {place}: {error.problem}") from error


def _nodes(file: Path, api: Remote) -> list[Node]:
    text = read_text(file, _LIMITS.octets)
    is_yaml = file.suffix in _YAML
    nodes: dict[str, Node] = {}
    for line, node in (
        _in_yaml(text, file.parent, api) if is_yaml else _in_lines(text, api)
    ):
        if node.name in nodes:
            raise TextError(f"{node.name} is named twice", line)
        nodes[node.name] = node
    if not nodes:
        raise TextError("it names no nodes")
    return list(nodes.values())


def _in_lines(text: str, api: Remote) -> Iterator[tuple[int, Node]]:
    for number, line in enumerate(text.splitlines(), start=1):
        words = line.partition("#")[0].split()
        if words:
            yield number, _node(words, number, api)


def _node(words: Sequence[str], line: int, api: Remote) -> Node:
    if len(words) == 1:
        words = (words[0].partition("://")[2] or words[0], words[0])
    name, place, *files = words
    if place.startswith(_URLS) and len(words) <= _MOST_WORDS:
        token_file, ca_file = [*files, "", ""][:2]
        return Node(
            name,
            Remote(
                place,
                token_file or api.token_file,
                ca_file or api.ca_file,
                api.tls_name,
            ),
        )
    if place.startswith("/") and not files:
        return Node(name, place)
    raise TextError(_EXPECTED, line)


# -- YAML ---------------------------------------------------------------------------------


def _in_yaml(text: str, folder: Path, api: Remote) -> Iterator[tuple[int, Node]]:
    from bgpd.texts.tree import ListNode  # noqa: PLC0415  # YAML takes 20 ms
    from bgpd.texts.yaml_text import CORE, compose  # noqa: PLC0415  # the same

    root = compose(text, _LIMITS, CORE)
    if root is None:
        return
    whole = _Mapping(root, "the file", _OF_FILE)
    shared = whole.remote(api, folder)
    found = whole.values.get("nodes")
    if not isinstance(found, ListNode):
        line = root.line if found is None else found.line
        raise TextError("nodes: expected a list of name and url or control", line)
    for each in found.items:
        yield each.line, _node_of(_Mapping(each, "a node", _OF_NODE), shared, folder)


def _node_of(mapping: "_Mapping", shared: Remote, folder: Path) -> Node:
    name, url = mapping.text("name"), mapping.text("url")
    control = mapping.text("control")
    if bool(url) == bool(control):
        mapping.fail("expected url or control, and not both")
    if url and not url.startswith(_URLS):
        mapping.fail(f"url: expected one such as https://HOST:PORT, found {url!r}")
    if control and not control.startswith("/"):
        mapping.fail(f"control: expected the path of a socket, found {control!r}")
    name = name or (url.partition("://")[2] if url else control)
    if control:
        for key in _SHARED:
            if key in mapping.values:
                mapping.fail(f"{key} goes with url")
        return Node(name, control)
    return Node(name, mapping.remote(shared, folder)._replace(url=url))


class _Mapping:
    """A mapping with known keys, whose values are texts.

    Args:
        node: A ``bgpd.texts.tree.Node``.
        title: For errors.
        keys: That it may have.
    """

    def __init__(self, node: object, title: str, keys: Sequence[str]) -> None:
        from bgpd.texts.tree import MapNode, Node  # noqa: PLC0415  # as above

        assert isinstance(node, Node)  # noqa: S101  # what a text is composed of
        self._line = node.line
        if not isinstance(node, MapNode):
            self.fail(f"{title}: expected a mapping with {', '.join(keys)}")
        for key, _ in node.doubled():
            raise TextError(f"{key.text} is there twice", key.line)
        self.values: dict[str, Node] = {}
        for key, value in node.all_pairs():
            if key.text not in keys:
                known = ", ".join(keys)
                raise TextError(f"{key.text!r} is not known; keys: {known}", key.line)
            self.values[key.text] = value

    def fail(self, problem: str) -> NoReturn:
        """Raise a ``TextError`` with the mapping's line."""
        raise TextError(problem, self._line)

    def text(self, name: str) -> str:
        """Return a value; empty without it.

        Raises:
            TextError: It is not a text.
        """
        from bgpd.texts.tree import ScalarNode  # noqa: PLC0415  # as above

        value = self.values.get(name)
        if value is None:
            return ""
        is_text = isinstance(value, ScalarNode) and isinstance(value.value, str)
        if not is_text or not value.value.isprintable():  # type: ignore[attr-defined]  # it is a scalar
            raise TextError(f"{name}: expected a text", value.line)
        return str(value.value)  # type: ignore[attr-defined]  # the same

    def remote(self, default: Remote, folder: Path) -> Remote:
        """Return token file, CA file and TLS name; paths are relative to the file's folder."""
        token_file, ca_file = self.text("token_file"), self.text("ca_file")
        return Remote(
            "",
            str(folder / token_file) if token_file else default.token_file,
            str(folder / ca_file) if ca_file else default.ca_file,
            self.text("tls_name") or default.tls_name,
        )

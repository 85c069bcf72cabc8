"""Reads a configuration in another process, and returns it in pieces.

A configuration of 10,000 peers takes seconds to parse and check, and a good part of a second
to be made of its pickled form. So a process of its own loads it, and what it comes to is handed
over in pieces that take a millisecond or two each.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from bgpd.config.errors import ConfigError
from bgpd.config.loader import Loaded, load
from bgpd.config.settings import DaemonSettings

PIECE: Final = 64  # peers, ranges, policies or routes; a millisecond to take in

_MANY: Final = ("peers", "ranges", "policies")


@dataclass(frozen=True, slots=True)
class Source:
    """The source of a configuration: what it takes to load it again.

    Attributes:
        file: The YAML file, if there is one.
        options: Of the command line.
        environment: Variables; ``None`` for those of the process that loads it.
        text: Takes the place of the file's text; ``None`` reads the file.
        text_name: What errors call it.
    """

    file: Path | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    environment: Mapping[str, str] | None = None
    text: str | None = None
    text_name: str = ""

    def load(self) -> Loaded:
        """Load it.

        Raises:
            ConfigError: Something is wrong; all that was found is in it.
        """
        return load(
            self.file,
            environment=self.environment,
            options=self.options,
            text=self.text,
            text_name=self.text_name,
        )


class Piece(NamedTuple):
    """A part of a configuration.

    Attributes:
        name: The field it is of.
        value: A part of a long field, or the whole of another.
    """

    name: str
    value: Any


def load_in_pieces(source: Source) -> Iterator[Piece]:
    """Load a configuration and yield its pieces, or ``problems`` alone."""
    try:
        loaded = source.load()
    except ConfigError as error:
        yield Piece("problems", str(error))
        return
    settings = loaded.settings
    for name in _MANY:
        yield from _cut(name, getattr(settings, name))
    yield from _cut("originated", settings.routes.originated)
    yield from _cut("files", tuple(map(str, loaded.files)))
    routes = replace(settings.routes, originated=())
    yield Piece(
        "settings", replace(settings, peers=(), ranges=(), policies=(), routes=routes)
    )


def _cut(name: str, values: tuple[object, ...]) -> Iterator[Piece]:
    for start in range(0, len(values), PIECE):
        yield Piece(name, values[start : start + PIECE])


class Assembly:
    """Puts pieces together again."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Any]] = {}
        self._settings: DaemonSettings | None = None
        self._problems = "it is cut short"

    def take(self, piece: Piece) -> None:
        """Add one piece."""
        if piece.name == "settings":
            self._settings = piece.value
        elif piece.name == "problems":
            self._problems = piece.value
        else:
            self._parts.setdefault(piece.name, []).extend(piece.value)

    def result(self) -> Loaded | str:
        """Return the whole, or its errors."""
        settings = self._settings
        if settings is None:
            return self._problems
        whole = replace(
            settings,
            peers=self._whole("peers"),
            ranges=self._whole("ranges"),
            policies=self._whole("policies"),
            routes=replace(settings.routes, originated=self._whole("originated")),
        )
        return Loaded(whole, tuple(map(Path, self._whole("files"))))

    def _whole(self, name: str) -> tuple[Any, ...]:
        return tuple(self._parts.get(name, ()))

"""The forms of an answer: a JSON array, a line for each object, server-sent events. Pure."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Final

from bgpd.api.protocol import ControlError, Kind, Row, near

JSON: Final = "application/json"
LINES: Final = "application/x-ndjson"
EVENTS: Final = "text/event-stream"
HEARTBEAT: Final = (
    15.0  # seconds without an event after which a stream says that it lives
)


def compact(value: object) -> str:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


class Form(ABC):
    """Writes objects; made for one answer.

    Attributes:
        content_type: Of the answer.
        heartbeat: What says that a stream lives.
    """

    content_type: ClassVar[str] = JSON
    heartbeat: ClassVar[bytes] = b"\n"

    @abstractmethod
    def encode(self, rows: Sequence[Row]) -> bytes:
        """Return some objects as octets."""

    def end(self) -> bytes:
        """Return what follows the last object."""
        return b""


class OneObject(Form):
    """An object by itself."""

    def encode(self, rows: Sequence[Row]) -> bytes:
        """See ``Form``."""
        return "".join(f"{compact(row)}\n" for row in rows).encode()


class ArrayForm(Form):
    """An array, an object a line."""

    def __init__(self) -> None:
        self._before = "["

    def encode(self, rows: Sequence[Row]) -> bytes:
        """See ``Form``."""
        text = ",\n".join(map(compact, rows))
        before, self._before = self._before, ",\n"
        return f"{before}{text}".encode()

    def end(self) -> bytes:
        """See ``Form``."""
        return b"[]\n" if self._before == "[" else b"]\n"


class LineForm(OneObject):
    """A line for each object; an empty line is a heartbeat."""

    content_type = LINES


class EventForm(Form):
    """Server-sent events: the number of each is its ``id``, its object is the data."""

    content_type = EVENTS
    heartbeat = b": still here\n\n"

    def encode(self, rows: Sequence[Row]) -> bytes:
        """See ``Form``."""
        return "".join(
            f"id: {row.get('id', '')}\ndata: {compact(row)}\n\n" for row in rows
        ).encode()


_FORMS: Final[Mapping[Kind, Mapping[str, type[Form]]]] = {
    Kind.ROWS: {"json": ArrayForm, "ndjson": LineForm},
    Kind.OBJECT: {"json": OneObject, "ndjson": LineForm},
    Kind.LINES: {"json": OneObject, "ndjson": LineForm},
    Kind.STREAM: {"sse": EventForm, "ndjson": LineForm},
}
"""The forms of each kind of answer, the usual one first."""


def names_of_forms(kind: Kind) -> tuple[str, ...]:
    """Return what ``format`` can be."""
    return tuple(_FORMS[kind])


def form_of(kind: Kind, name: str | None, accept: str) -> Form:
    """Return the form that a client wants.

    Args:
        kind: Of the answer.
        name: Of argument ``format``; ``None`` without.
        accept: The header ``Accept``. What is not there in the form it names comes in the usual one.

    Raises:
        ControlError: ``bad-argument``.
    """
    forms = _FORMS[kind]
    if name is None:
        wants_lines = LINES in accept
        return forms["ndjson" if wants_lines else next(iter(forms))]()
    if name not in forms:
        raise ControlError(
            "bad-argument", f"format cannot be {name[:80]!r}{near(name, forms)}", forms
        )
    return forms[name]()

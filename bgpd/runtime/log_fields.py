"""Fields of log lines: what a line is about, as values beside its text. Pure.

A call names its values once, and the text and the fields are both made of them::

    _log.warning(
        "%(peer)s: session down: %(reason)s",
        {"event": "session-down", "peer": name, "reason": reason},
    )

``logging`` fills the text's places from a mapping that is the only argument, so the two cannot
differ, and nothing is formatted unless the line is written. ``event`` comes first: a stable name,
whatever the wording. The value after it is the line's subject, for ``LogLimit``. Values
that the text does without may follow. docs/log-events.md lists events and fields.

A line in JSON is one line for whatever reads it: systemd's journal and many programs also break
lines at separators of Unicode, which JSON allows inside of strings, and half a character is an
error to some parsers. Both are escaped here.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from logging import LogRecord
from typing import Final, TypeGuard

EVENT: Final = "event"
MOST_FIELD: Final = 2048  # characters of one value
MOST_ITEMS: Final = 100  # of a list
_DEPTH: Final = 3  # lists and mappings inside one another
_DECIMALS: Final = 3  # milliseconds
_FIELDS: Final = "fields"
_BREAKS: Final = re.compile("[\x7f-\x9f\u2028\u2029]")
_HALVES: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Names:
    """Some names: a list in a field, and in a text with commas between.

    Attributes:
        values: Those that are shown.
        more: How many there are besides.
        separator: Between two.
    """

    values: tuple[str, ...]
    more: int = 0
    separator: str = ", "

    def __len__(self) -> int:
        return len(self.values)

    def __str__(self) -> str:
        """Return them in one text."""
        more = f" and {self.more} more" if self.more > 0 else ""
        return f"{self.separator.join(self.values)}{more}"


def with_fields(record: LogRecord, fields: Mapping[str, object]) -> LogRecord:
    """Return a record whose text is complete, given the fields of another one."""
    setattr(record, _FIELDS, fields)
    return record


def values_of(record: LogRecord) -> Mapping[str, object]:
    """Return the values that our calls name; empty for other lines."""
    values = record.args
    return values if isinstance(values, Mapping) and EVENT in values else {}


def fields_of(record: LogRecord) -> dict[str, object]:
    """Return a line's fields as values of JSON; those that say nothing are left out.

    Some 1 us a field. Texts, and what has no form in JSON, are texts of bounded length.
    """
    found: Mapping[str, object] = getattr(record, _FIELDS, {})
    values = found or values_of(record)
    return {
        name: _plain(value)
        for name, value in values.items()
        if value is not None and value != ""
    }


def subject_of(record: LogRecord) -> str:
    """Return what a line is about: the first value of its call, besides the event."""
    for name, value in values_of(record).items():
        if name != EVENT:
            return str(value)
    first = record.args[:1] if isinstance(record.args, tuple) else ()
    return str(*first)


def to_json(line: Mapping[str, object]) -> str:
    """Return plain values as an object of JSON, in one line of valid UTF-8."""
    text = json.dumps(line, ensure_ascii=False)
    text = _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    # As the text has it: the code that stands for the octet.
    return _HALVES.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)


def _plain(value: object, depth: int = _DEPTH) -> object:
    if isinstance(value, int):
        return value if type(value) is bool else int(value)
    if isinstance(value, float) and math.isfinite(value):
        return round(value, _DECIMALS)
    if depth and isinstance(value, Mapping):
        return {
            _text(name): _plain(each, depth - 1)
            for name, each in islice(value.items(), MOST_ITEMS)
        }
    if isinstance(value, Names):
        value = value.values
    if depth and _is_list(value):
        return [_plain(each, depth - 1) for each in islice(value, MOST_ITEMS)]
    return _text(value)


def _is_list(value: object) -> TypeGuard[Sequence[object]]:
    """Whether a value is a list, and none that has a text of its own, as a family."""
    return type(value) in (list, tuple)


def _text(value: object) -> str:
    text = str(value)
    return text if len(text) <= MOST_FIELD else f"{text[:MOST_FIELD]}..."

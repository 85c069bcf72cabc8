"""A list of Kubernetes' API, decoded as it arrives: each object once it is whole. Pure.

The list of a large cluster is 100 MB in one answer, and decoding it at once would hold the
loop for a second. Here one regular expression finds the borders of objects,
and each object is read by itself, within limits. (A general incremental reader was tried:
what it keeps of deep nesting grows with the square of the depth.)
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.texts.json_text import load
from bgpd.texts.limits import ANSWER, TextError

# A string, whole or cut off at the end, or a bracket.
_TOKEN: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[][{}]', re.DOTALL)
_OPEN: Final = frozenset((b"{", b"["))
_ITEMS: Final = b'"items"'
_METADATA: Final = b'"metadata"'
_MAX_DEPTH: Final = ANSWER.depth + 2  # an object's own, in a list that is in an object


class ListDecoder:
    """Takes the octets of ``{"metadata": {...}, "items": [{...}, ...]}`` as they come."""

    def __init__(self) -> None:
        self._buffer = (
            b""  # from the object that is under way, or what is not looked at
        )
        self._looked = 0  # octets of it
        self._depth = 0
        self._start: int | None = None  # of the object under way
        self._is_in_items = False
        self._last_string = b""  # at the depth of the list's own keys
        self._version = ""
        self._is_whole = False

    def feed(self, octets: bytes) -> list[Mapping[str, Any]]:
        """Return the objects that are whole now; anything else in the list is skipped.

        Raises:
            ApiError: It is not JSON, or an object is larger than is taken.
        """
        found: list[Mapping[str, Any]] = []
        self._buffer += octets
        if not self._depth and self._buffer.strip()[:1] not in (b"", b"{"):
            raise ApiError("what came is not a list")
        for token in _TOKEN.finditer(self._buffer, self._looked):
            if self._is_whole:
                raise ApiError("what came is more than a list")
            text = token[0]
            if text[0] == 34:  # a quotation mark
                if not token[1]:
                    self._looked = token.start()
                    break
                if self._depth == 1:
                    self._last_string = text
            elif text in _OPEN:
                self._opened(text, token.start())
            else:
                self._closed(token.end(), found)
            self._looked = token.end()
        self._forget()
        return found

    def finish(self) -> str:
        """Return the list's version, once all has arrived.

        Raises:
            ApiError: It is not whole, or no list.
        """
        if not self._is_whole:
            raise ApiError("what came is not whole: the connection was cut")
        if self._buffer.strip():
            raise ApiError("what came is more than a list")
        if not self._version:
            raise ApiError(
                "what came is not a list: metadata.resourceVersion is missing"
            )
        return self._version

    def _opened(self, bracket: bytes, place: int) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ApiError(f"what came is nested deeper than {ANSWER.depth} levels")
        if bracket == b"[":
            if self._depth == 2 and self._last_string == _ITEMS:
                self._is_in_items = True
        elif (self._depth == 3 and self._is_in_items) or (
            self._depth == 2 and self._last_string == _METADATA
        ):
            self._start = place

    def _closed(self, end: int, found: list[Mapping[str, Any]]) -> None:
        self._depth -= 1
        if self._start is not None and self._depth == (2 if self._is_in_items else 1):
            content = _read(self._buffer[self._start : end])
            self._start = None
            if self._is_in_items:
                found.append(content)
            else:
                version = content.get("resourceVersion")
                self._version = version if isinstance(version, str) else ""
        if self._depth == 1:
            self._is_in_items = False
        self._is_whole = self._is_whole or not self._depth

    def _forget(self) -> None:
        """Drop what has been looked at, but for the object that is under way."""
        keep = self._looked if self._start is None else self._start
        self._buffer = self._buffer[keep:]
        self._looked -= keep
        if self._start is not None:
            self._start = 0
        if len(self._buffer) > ANSWER.octets:
            raise ApiError(f"an object has over {ANSWER.octets} octets")


def _read(octets: bytes) -> Mapping[str, Any]:
    try:
        value = load(octets, ANSWER).value
    except TextError as error:
        raise ApiError(f"what came {error}") from error
    return value if isinstance(value, dict) else {}

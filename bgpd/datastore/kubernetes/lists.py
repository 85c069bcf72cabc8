"""A list of Kubernetes' API, decoded as it arrives: each object once it is whole. Pure.

The list of a large cluster is 100 MB in one answer, and decoding it at once would hold the
loop for a second. (A general incremental reader was tried: what it keeps of deep nesting grows
with the square of the depth.)
"""

import codecs
import re
from collections.abc import Mapping
from typing import Any, Final

from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.texts.json_text import load, load_object
from bgpd.texts.limits import ANSWER, TextError

# Theory
# ------
# Between two objects of ``items`` the library's reader is tried on what has arrived: it ends
# where the object ends, or fails because the object is incomplete. Then it is tried again with
# the next octets, which is cheap while there are few. Objects for which that would be expensive,
# and everything else in the list, are scanned: one regular expression finds strings and
# brackets, visits each octet once, and the object is read when its bracket closes. Scanning
# alone would do, and takes ten times as long.

TRIED: Final = 1 << 17  # characters up to which an object is tried, not scanned
# A string, whole or cut off at the end, or a bracket.
_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*("?)|[][{}]', re.DOTALL)
_REST_OF_STRING: Final = re.compile(r'[^"\\]*(?:\\.[^"\\]*)*("?)', re.DOTALL)
_NEXT_OBJECT: Final = re.compile(r"[\s,]*(?={)")
_OPEN: Final = frozenset("{[")
_ITEMS: Final = '"items"'
_METADATA: Final = '"metadata"'
_MAX_DEPTH: Final = ANSWER.depth + 2  # an object's own, in a list that is in an object


class ListDecoder:
    """Takes the octets of ``{"metadata": {...}, "items": [{...}, ...]}`` as they come.

    Attributes:
        next_page: What asks for the objects that follow; empty where all are there.
    """

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        # From the object that is under way, or what is not looked at.
        self._buffer = ""
        self._looked = 0  # characters of it
        self._depth = 0
        self._start: int | None = None  # of the object under way, if it is scanned
        self._is_in_items = False
        self._is_in_string = False  # that was cut off, below the list's own keys
        self._last_string = ""  # at the depth of the list's own keys
        self._version = ""
        self.next_page = ""
        self._is_whole = False

    def feed(self, octets: bytes) -> list[Mapping[str, Any]]:
        """Return the objects that are whole now; anything else in the list is skipped.

        Raises:
            ApiError: It is not JSON, or an object is larger than is taken.
        """
        found: list[Mapping[str, Any]] = []
        self._take(octets)
        if not self._depth and self._buffer.lstrip()[:1] not in ("", "{"):
            raise ApiError("what came is not a list")
        while self._try(found) and self._scan(found):
            pass
        self._forget()
        return found

    def _take(self, octets: bytes, *, is_last: bool = False) -> None:
        try:
            self._buffer += self._decode(octets, is_last)
        except UnicodeDecodeError as error:
            raise ApiError("what came is not UTF-8 text") from error

    @property
    def _is_between_objects(self) -> bool:
        return self._depth == 2 and self._is_in_items

    def _try(self, found: list[Mapping[str, Any]]) -> bool:
        """Read objects while they are whole; return whether to scan what follows."""
        if not self._is_between_objects:
            return True
        buffer = self._buffer
        while (following := _NEXT_OBJECT.match(buffer, self._looked)) is not None:
            start = following.end()
            try:
                loaded = load_object(buffer, start)
            except TextError as error:
                raise ApiError(f"what came {error}") from error
            if loaded is None:
                return len(buffer) - start >= TRIED
            found.append(loaded.value)
            self._looked = loaded.end
        return True

    def _scan(self, found: list[Mapping[str, Any]]) -> bool:
        """Look at what follows; return whether that ended between two objects."""
        if self._is_in_string and not self._end_string():
            return False
        for token in _TOKEN.finditer(self._buffer, self._looked):
            if self._is_whole:
                raise ApiError("what came is more than a list")
            text = token[0]
            if text[0] == '"':
                if not token[1]:
                    self._is_in_string = self._depth > 1
                    self._looked = token.end() if self._is_in_string else token.start()
                    return False
                if self._depth == 1:
                    self._last_string = text
            elif text in _OPEN:
                self._opened(text, token.start())
            else:
                self._closed(token.end(), found)
            self._looked = token.end()
            if self._is_between_objects:
                return True
        return False

    def finish(self) -> str:
        """Return the list's version, once all has arrived.

        Raises:
            ApiError: It is not whole, or no list.
        """
        self._take(b"", is_last=True)
        self._scan([])  # says what is wrong with an object that could not be read
        if not self._is_whole:
            raise ApiError("what came is not whole: the connection was cut")
        if self._buffer.strip():
            raise ApiError("what came is more than a list")
        if not self._version:
            raise ApiError(
                "what came is not a list: metadata.resourceVersion is missing"
            )
        return self._version

    def _end_string(self) -> bool:
        """Look for the end of a string from where it was cut off."""
        rest = next(_REST_OF_STRING.finditer(self._buffer, self._looked))
        self._looked = rest.end()
        self._is_in_string = not rest[1]
        return not self._is_in_string

    def _opened(self, bracket: str, place: int) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ApiError(f"what came is nested deeper than {ANSWER.depth} levels")
        if bracket == "[":
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
                version, more = content.get("resourceVersion"), content.get("continue")
                self._version = version if isinstance(version, str) else ""
                self.next_page = more if isinstance(more, str) else ""
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
            raise ApiError(f"an object has over {ANSWER.octets} characters")


def _read(text: str) -> Mapping[str, Any]:
    try:
        value = load(text, ANSWER).value
    except TextError as error:
        raise ApiError(f"what came {error}") from error
    return value if isinstance(value, dict) else {}

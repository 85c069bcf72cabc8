"""A list of Kubernetes' API, decoded as it arrives: each object once it is whole. Pure.

The list of a large cluster is 100 MB in one answer, and decoding it at once would hold the
loop for a second. (A general incremental reader was tried: what it keeps of deep nesting grows
with the square of the depth.)
"""

import codecs
import re
from collections.abc import Mapping
from typing import Any, Final

from bgpd.datastore.kubernetes.errors import ApiError, Unreadable
from bgpd.texts.json_text import load, load_object
from bgpd.texts.limits import API_OBJECT, TextError

# Theory
# ------
# Between two objects of ``items`` the library's reader is tried on what has arrived: it ends
# where the object ends, or fails because the object is incomplete. Then it is tried again with
# the next octets, which is cheap while there are few. Objects for which that would be expensive,
# and everything else in the list, are scanned: one regular expression finds strings and
# brackets, visits each character once however the list is cut, and the object is read when its
# bracket closes. Scanning alone would do, and takes ten times as long.
#
# An object that is too large or too deep, or not JSON, costs only itself: its brackets are
# counted to its end, and of its text only the beginning is kept. If the whole is not a list, or
# ends early, nothing can be said about what is missing, and that is an error.

TRIED: Final = 1 << 17  # characters up to which an object is tried, not scanned
# A string, whole or cut off at the end, or a bracket.
_TOKEN: Final = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+("?)|[][{}]', re.DOTALL)
_REST_OF_STRING: Final = re.compile(r'[^"\\]*+(?:\\.[^"\\]*+)*+("?)', re.DOTALL)
_NEXT_OBJECT: Final = re.compile(r"[\s,]*(?={)")
_NAME: Final = re.compile(r'"name"\s*:\s*"([^"\\]{1,253})"')
_OPEN: Final = frozenset("{[")
_ITEMS: Final = '"items"'
_METADATA: Final = '"metadata"'
_KIND: Final = '"kind"'
_MAX_KEY: Final = 256  # characters of a key of the list itself, at most
_MAX_VERSION: Final = 128  # characters; it becomes part of requests
_MAX_PAGE: Final = 16 << 10  # as well


class _Own:
    """What a list says beside its objects.

    Attributes:
        last_string: The string that came last, a key as a rule.
        kind: Of the list; empty if it says none.
        version: Of the list; empty until it has said so.
        has_items: It has objects, or could have.
        next_page: What asks for the objects that follow; empty where all are there.
    """

    __slots__ = ("has_items", "kind", "last_string", "next_page", "version")

    def __init__(self) -> None:
        self.last_string = ""
        self.kind = ""
        self.version = ""
        self.has_items = False
        self.next_page = ""

    def take_string(self, text: str) -> None:
        """Take a string at the depth of the list's own keys."""
        if self.last_string == _KIND:
            self.kind = text[1:_MAX_KEY].rstrip('"')
            text = ""  # a value, whatever it says
        self.has_items = self.has_items or text == _ITEMS
        self.last_string = text if len(text) <= _MAX_KEY else ""

    def take_metadata(self, content: Mapping[str, Any]) -> None:
        """Take the list's metadata."""
        version, more = content.get("resourceVersion"), content.get("continue")
        if isinstance(version, str) and len(version) <= _MAX_VERSION:
            self.version = version
        if isinstance(more, str) and len(more) <= _MAX_PAGE:
            self.next_page = more

    def check(self) -> None:
        """Raise unless it is that of a list.

        Raises:
            ApiError: It is not.
        """
        if self.kind and not self.kind.endswith("List"):
            raise ApiError(f"what came is not a list, but of kind {self.kind}")
        if not self.version:
            raise ApiError(
                "what came is not a list: metadata.resourceVersion is missing"
            )
        if not self.has_items:
            raise ApiError("what came is not a list: items are missing")


class ListDecoder:
    """Takes the octets of ``{"metadata": {...}, "items": [{...}, ...]}`` as they come."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        # From the object that is under way, or what is not looked at.
        self._buffer = ""
        self._looked = 0  # characters of it
        self._depth = 0
        self._start: int | None = None  # of the object under way, if it is scanned
        self._problem = ""  # why that object is skipped
        self._is_in_items = False
        self._is_in_string = False  # that was cut off
        self._is_whole = False
        self._own = _Own()
        self._unreadable: list[Unreadable] = []

    def feed(self, octets: bytes, *, is_last: bool = False) -> list[Mapping[str, Any]]:
        """Return the objects that are whole now; what else the list has is skipped.

        Args:
            octets: That have arrived.
            is_last: Nothing follows.

        Raises:
            ApiError: It is not a list.
        """
        found: list[Mapping[str, Any]] = []
        self._buffer += self._decode(octets, is_last)
        if self._is_whole:
            self._check_end()
        elif not self._depth:
            self._buffer = self._buffer.lstrip()
            if self._buffer[:1] not in ("", "{"):
                raise ApiError("what came is not a list")
        while self._try(found, is_last=is_last) and self._scan(found):
            pass
        self._forget()
        return found

    @property
    def next_page(self) -> str:
        """What asks for the objects that follow; empty where all are there."""
        return self._own.next_page

    def drain_unreadable(self) -> tuple[Unreadable, ...]:
        """Return the objects that were skipped since the last call."""
        found, self._unreadable = tuple(self._unreadable), []
        return found

    def finish(self) -> str:
        """Return the list's version, once all has been fed.

        Raises:
            ApiError: It is not whole, or no list.
        """
        if not self._is_whole:
            raise ApiError("what came is not whole: the connection was cut")
        self._buffer += self._decode(b"", True)  # it is the last
        self._check_end()
        self._own.check()
        return self._own.version

    def _check_end(self) -> None:
        if self._buffer[self._looked :].strip():
            raise ApiError("what came is more than a list")

    @property
    def _is_between_objects(self) -> bool:
        return self._depth == 2 and self._is_in_items

    def _try(self, found: list[Mapping[str, Any]], *, is_last: bool) -> bool:
        """Read objects while they are whole; return whether to scan what follows."""
        if not self._is_between_objects:
            return True
        buffer = self._buffer
        while (following := _NEXT_OBJECT.match(buffer, self._looked)) is not None:
            start = following.end()
            try:
                loaded = load_object(buffer, start, API_OBJECT.depth)
            except TextError:
                return True  # it is scanned to its end, and skipped
            if loaded is None:
                return is_last or len(buffer) - start >= TRIED
            found.append(loaded.value)
            self._looked = loaded.end
        return True

    def _scan(self, found: list[Mapping[str, Any]]) -> bool:
        """Look at what follows; return whether that ended between two objects."""
        if self._is_in_string and not self._end_string():
            return False
        for token in _TOKEN.finditer(self._buffer, self._looked):
            text = token[0]
            if text[0] == '"':
                if not token[1]:
                    self._cut_string(token)
                    return False
                if self._depth == 1:
                    self._own.take_string(text)
            elif text in _OPEN:
                self._opened(text, token.start())
            else:
                self._closed(token.end(), found)
            self._looked = token.end()
            if self._is_whole:
                self._check_end()
                return False
            if self._is_between_objects:
                return True
        self._looked = len(self._buffer)
        return False

    def _cut_string(self, token: re.Match[str]) -> None:
        """Note where to go on with a string that is cut off."""
        is_key = self._depth == 1 and len(token[0]) <= _MAX_KEY
        self._is_in_string = not is_key  # a key is scanned again from its beginning
        self._looked = token.start() if is_key else token.end()

    def _end_string(self) -> bool:
        """Look for the end of a string from where it was cut off."""
        rest = next(_REST_OF_STRING.finditer(self._buffer, self._looked))
        self._looked = rest.end()
        self._is_in_string = not rest[1]
        if self._depth == 1:
            self._own.last_string = ""
        return not self._is_in_string

    def _opened(self, bracket: str, place: int) -> None:
        self._depth += 1
        if bracket == "[":
            if self._depth == 2 and self._own.last_string == _ITEMS:
                self._is_in_items = True
        elif (self._depth == 3 and self._is_in_items) or (
            self._depth == 2 and self._own.last_string == _METADATA
        ):
            self._start = place

    def _closed(self, end: int, found: list[Mapping[str, Any]]) -> None:
        self._depth -= 1
        if self._start is not None and self._depth == (2 if self._is_in_items else 1):
            content = self._content(end)
            self._start, self._problem = None, ""
            if content is not None and self._is_in_items:
                found.append(content)
            elif content is not None:
                self._own.take_metadata(content)
        if self._depth == 1:
            self._is_in_items = False
        self._is_whole = not self._depth

    def _content(self, end: int) -> Mapping[str, Any] | None:
        """Return the object that ends here; ``None`` where it is skipped."""
        text = self._buffer[self._start : end]
        try:
            if self._problem:
                raise TextError(self._problem)  # noqa: TRY301  # as the other faults
            value = load(text, API_OBJECT).value
        except TextError as error:
            self._unreadable.append(Unreadable(name_in(text), str(error)))
            return None
        return value if isinstance(value, dict) else {}

    def _forget(self) -> None:
        """Drop what has been looked at, but for the object that is under way."""
        keep = self._looked
        if self._start is not None:
            keep = self._start
            if len(self._buffer) - keep > API_OBJECT.octets:
                self._problem = f"has over {API_OBJECT.octets} characters"
            if self._problem:  # its beginning is kept for its name
                self._cut(keep + API_OBJECT.octets)
        self._buffer = self._buffer[keep:]
        self._looked -= keep
        if self._start is not None:
            self._start = 0

    def _cut(self, most: int) -> None:
        """Drop what has been looked at of an object that is skipped, beyond its beginning."""
        if self._looked > most:
            self._buffer = self._buffer[:most] + self._buffer[self._looked :]
            self._looked = most


def name_in(text: str) -> str:
    """Return the first name in an object that cannot be read as a whole; empty without one.

    The API sorts keys, and a name within another text has its quotation marks escaped, so
    the first is that of the metadata.
    """
    found = _NAME.search(text)
    return found[1] if found is not None else ""

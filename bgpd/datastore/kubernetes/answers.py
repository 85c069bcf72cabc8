"""Answers of Kubernetes' API, read within limits, and errors that say what came instead.

An answer may come from something else: a balancer's page, a proxy's redirect, another
service on the same address. So nothing is taken that is not JSON from the server that was
asked, as it stands: a body that unfolds (gzip) may be a thousand times as large as what was sent.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from bgpd.datastore.kubernetes.errors import ApiError, Unreadable
from bgpd.datastore.kubernetes.lists import name_in
from bgpd.texts.errors import text_of
from bgpd.texts.json_text import decode, load, load_object
from bgpd.texts.limits import ANSWER, API_OBJECT, LimitError, TextError

if TYPE_CHECKING:
    from httpx2 import Response

Object = Mapping[str, Any]

MAX_SHOWN: Final = 500  # characters of what the API says
MAX_CONTINUE: Final = 16 << 10  # characters of a token that a request repeats
MAX_VERSION: Final = 128  # characters of a resource version
_TOO_NEW: Final = "ResourceVersionTooLarge"
_JSON: Final = ("application/json", "text/json")
_IDENTITY: Final = frozenset(("", "identity"))


class Line(NamedTuple):
    """One line of a watch.

    Attributes:
        octets: All of it, or its beginning.
        size: Of all of it.
    """

    octets: bytes
    size: int


@contextmanager
def named(server: str) -> Iterator[None]:
    """Let whatever goes wrong with a request name the server.

    Raises:
        ApiError: The server has answered something else.
        ConnectionError: It has not answered, or not in time.
    """
    from httpx2 import HTTPError, TimeoutException  # noqa: PLC0415  # with credentials

    try:
        yield
    except ApiError as error:
        raise error.at(server) from error
    except TimeoutException as error:
        text = f"{server}: no answer in time ({type(error).__name__})"
        raise ConnectionError(text) from error
    except TimeoutError as error:
        raise ConnectionError(f"{server}: no whole answer in time") from error
    except (HTTPError, OSError) as error:
        text = text_of(error)
        where = "" if text.startswith(server) else f"{server}: "
        raise ConnectionError(f"{where}{text}") from error


async def check_head(response: "Response") -> None:
    """Refuse what cannot be an answer of the API; only the reason is read of its body.

    Raises:
        ApiError: It is a refusal, or none of the API's.
    """
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _IDENTITY:
        text = (
            f"the answer is encoded ({encoding[:MAX_SHOWN]}), which was not requested"
        )
        raise ApiError(f"{response.status_code}: {text}", response.status_code)
    if not response.is_success:
        raise _refusal(response, await body(response, ANSWER.octets) or b"")
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind and kind not in _JSON:
        raise ApiError(f"the answer is {kind[:MAX_SHOWN]}; JSON is expected")


async def body(response: "Response", most: int) -> bytes | None:
    """Return what an answer holds; ``None`` where that is more than ``most`` octets."""
    pieces: list[bytes] = []
    left = most
    async for piece in response.aiter_raw():
        left -= len(piece)
        if left < 0:
            return None
        pieces.append(piece)
    return b"".join(pieces)


async def lines(response: "Response") -> AsyncIterator[Line]:
    """Yield whole lines; what a connection that is cut leaves is none.

    Of one that is longer than is taken, its beginning is kept.
    """
    pieces: list[bytes] = []
    size = kept = 0
    async for chunk in response.aiter_raw():
        start = 0
        while True:
            end = chunk.find(b"\n", start)
            piece = chunk[start:] if end < 0 else chunk[start:end]
            size += len(piece)
            if kept < API_OBJECT.octets:
                pieces.append(piece)
                kept += len(piece)
            if end < 0:
                break
            line = b"".join(pieces)
            if line.strip():
                yield Line(line, size)
            pieces, size, kept, start = [], 0, 0, end + 1


def event_in(line: Line) -> tuple[str, Object] | Unreadable | None:
    """Return the event that a line of a watch holds; ``None`` for none.

    Raises:
        ApiError: It is not JSON, or the server says that the watch is over.
    """
    try:
        if line.size > API_OBJECT.octets:
            problem = f"has {line.size} octets; the limit is {API_OBJECT.octets}"
            return Unreadable(_name_in(line), problem)
        text = decode(line.octets)
        loaded = None
        if len(text) <= API_OBJECT.nodes:  # so it has fewer values than that
            loaded = load_object(text, 0, API_OBJECT.depth)
        if loaded is not None and not text[loaded.end :].strip():
            event: object = loaded.value
        else:
            event = load(text, API_OBJECT).value
    except LimitError as error:
        return Unreadable(_name_in(line), str(error))
    except TextError as error:
        raise ApiError(f"the answer {error}") from error
    if not isinstance(event, dict):
        return None
    verb, content = event.get("type"), event.get("object")
    if verb == "ERROR":
        raise _failure(content if isinstance(content, dict) else {})
    if event.get("kind") == "Status":  # a refusal in place of events
        raise _failure(event)
    if not isinstance(verb, str) or not isinstance(content, dict):
        return None
    return verb, content


def _name_in(line: Line) -> str:
    return name_in(line.octets.decode(errors="replace"))


def page(octets: bytes) -> tuple[list[Object], str, str]:
    """Return the objects of a part of a list, its version, and how to request the next.

    Raises:
        ApiError: It is not a list.
    """
    content = read(octets)
    kind, items = content.get("kind"), content.get("items")
    metadata = content.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    version = metadata.get("resourceVersion")
    if kind == "Status":
        raise _failure(content)
    if not (isinstance(kind, str) and kind.endswith("List")) or "items" not in content:
        raise ApiError(f"what came is not a list, but of kind {str(kind)[:MAX_SHOWN]}")
    if not isinstance(version, str) or not 0 < len(version) <= MAX_VERSION:
        raise ApiError("what came is not a list: metadata.resourceVersion is missing")
    goes_on = metadata.get("continue")
    goes_on = goes_on if isinstance(goes_on, str) else ""
    if len(goes_on) > MAX_CONTINUE:
        raise ApiError(f"metadata.continue has {len(goes_on)} characters")
    objects = items if isinstance(items, list) else []
    return [each for each in objects if isinstance(each, dict)], version, goes_on


def read(octets: bytes) -> dict[str, Any]:
    """Return the object that an answer is; empty where it is another value.

    Raises:
        ApiError: It is not JSON, or more than is taken.
    """
    try:
        text = decode(octets)
        if len(text) <= ANSWER.nodes:  # so it has fewer values than that
            loaded = load_object(text, 0, ANSWER.depth)
            if loaded is not None and not text[loaded.end :].strip():
                return loaded.value
        value = load(text, ANSWER).value
    except TextError as error:
        raise ApiError(f"the answer {error}") from error
    return value if isinstance(value, dict) else {}


def _refusal(response: "Response", octets: bytes) -> ApiError:
    """Return what an answer that is none says."""
    code = response.status_code
    try:
        said = read(octets)
    except ApiError:
        said = {}  # of a proxy, or a balancer
    text = str(said.get("message") or "") or response.reason_phrase
    if place := response.headers.get("Location", ""):
        text = f"{text}: redirected to {place}, which is not followed"
    wait = response.headers.get("Retry-After", "")
    return ApiError(
        f"{code}: {text[:MAX_SHOWN] or 'no reason given'}",
        code,
        float(wait[:9]) if wait.isdecimal() else 0.0,
        is_too_new=_is_too_new(said),
    )


def _failure(status: Object) -> ApiError:
    code = status.get("code")
    said = status.get("message") or status.get("reason") or "no reason given"
    text = str(said)[:MAX_SHOWN]
    return ApiError(
        text, code if isinstance(code, int) else 0, is_too_new=_is_too_new(status)
    )


def _is_too_new(status: Object) -> bool:
    """Return whether a server says that it does not know a version yet."""
    details = status.get("details")
    causes = details.get("causes") if isinstance(details, dict) else None
    reasons = [
        each.get("reason")
        for each in (causes if isinstance(causes, list) else ())
        if isinstance(each, dict)
    ]
    text = str(status.get("message") or "")
    return _TOO_NEW in reasons or "Too large resource version" in text

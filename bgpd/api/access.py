"""Who may ask what: rights by the place where a client comes in, and by its token.

A client of the control socket has passed the socket's mode and may do everything. One that comes by
TCP shows a bearer token (RFC 6750), or comes from this machine.

A browser on this machine is the danger: any page can make it send requests here. A page cannot
add a token, so one that is shown proves intent. Without one, the request must name this
machine by address or as ``localhost`` (a page that has its own name resolve to 127.0.0.1, DNS
rebinding, sends that name), must not say that it comes from another site, and must not have
come through a proxy, behind which everybody seems to be local.
"""

import logging
import time
from collections.abc import Mapping
from hmac import compare_digest
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import urlsplit

from bgpd.api.paths import Paths
from bgpd.api.protocol import ControlError, Rights
from bgpd.texts.errors import text_of
from bgpd.texts.files import read_octets
from bgpd.texts.limits import TextError

MAX_TOKEN: Final = 4096  # octets of a token's file
LEAST_TOKEN: Final = 16  # characters; fewer could be guessed
LOOK_AGAIN: Final = 1.0  # seconds between two looks at a token's file
_PROXIES: Final = ("Forwarded", "X-Forwarded-For", "X-Real-IP", "Via")
_OWN_SITES: Final = ("same-origin", "none")

_log = logging.getLogger(__name__)


class Caller(NamedTuple):
    """What is known of a client's request.

    Attributes:
        headers: Of the request; names in any case.
        address: It comes from; empty for the control socket.
        scheme: ``http`` or ``https``.
    """

    headers: Mapping[str, str]
    address: str
    scheme: str


class Access(Protocol):
    """Decides what clients of one place may do."""

    def rights(self, caller: Caller) -> Rights:
        """Return what a client may do.

        Raises:
            ControlError: ``no-token``, ``wrong-token``, ``forbidden-host`` or ``cross-site``.
        """


class Entrance(NamedTuple):
    """What clients of one place find.

    Attributes:
        title: Of the place, for the log.
        access: Decides what they may do.
        paths: What there is.
    """

    title: str
    access: Access
    paths: Paths


class OpenAccess:
    """Everybody who comes in may do the same.

    Args:
        rights: What.
    """

    def __init__(self, rights: Rights) -> None:
        self._rights = rights

    def rights(self, _: Caller) -> Rights:
        """See ``Access``."""
        return self._rights


class TokenFile:
    """A token that a file holds; a changed file counts within a second.

    Args:
        path: Of the file; empty for none.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._token = b""
        self._looked_at = float("-inf")
        self._seen: tuple[int, int, int] | None = None
        self._fault = ""

    @property
    def fault(self) -> str:
        """Why there is no token although there should be; empty for nothing."""
        return self._fault

    def matches(self, shown: bytes) -> bool:
        """Whether ``shown`` is the token; takes as long whatever differs."""
        self.look()
        return bool(self._token) and compare_digest(shown, self._token)

    def look(self) -> None:
        """Read the file again if it has changed."""
        now = time.monotonic()
        if not self._path or now - self._looked_at < LOOK_AGAIN:
            return
        self._looked_at = now
        try:
            found = Path(self._path).stat()
            seen = (found.st_mtime_ns, found.st_ino, found.st_size)
            if seen == self._seen:
                return
            token = _read_token(self._path)
        except (OSError, TextError) as error:
            self._forget(text_of(error))
        else:
            self._seen, self._token, self._fault = seen, token, ""

    def _forget(self, reason: str) -> None:
        """Accept no token: that of a file that is gone was taken back."""
        self._seen, self._token = None, b""
        fault = f"{self._path}: {reason}"
        if fault != self._fault:
            _log.error(
                "token %(file)s: %(reason)s; no token is accepted for it",
                {"event": "token-unreadable", "file": self._path, "reason": reason},
            )
        self._fault = fault


class TokenAccess:
    """Clients that come by TCP.

    Args:
        read: The token of those who may read.
        full: The token of those who may do everything.
        loopback: What clients on this machine may do without a token.
    """

    def __init__(self, read: TokenFile, full: TokenFile, loopback: Rights) -> None:
        self._tokens = ((full, Rights.FULL), (read, Rights.READ))
        self._loopback = loopback

    def rights(self, caller: Caller) -> Rights:
        """See ``Access``."""
        shown = caller.headers.get("Authorization")
        if shown is not None:
            return self._of_token(shown)
        if self._loopback is Rights.NONE or not _is_local(caller):
            raise ControlError(
                "no-token", "this needs a token", ("Authorization: Bearer TOKEN",)
            )
        _check_host(caller)
        _check_site(caller)
        return self._loopback

    def _of_token(self, shown: str) -> Rights:
        scheme, _, token = shown.partition(" ")
        if scheme.lower() == "bearer":
            octets = token.strip().encode("utf-8", "surrogateescape")
            matching = [rights for file, rights in self._tokens if file.matches(octets)]
            if matching:
                return matching[0]
        raise ControlError(
            "wrong-token", "this token is not known here", ("Bearer TOKEN",)
        )


def _read_token(path: str) -> bytes:
    token = read_octets(path, MAX_TOKEN).strip()
    if len(token) < LEAST_TOKEN:
        raise TextError(f"a token has at least {LEAST_TOKEN} characters")
    return token


def _is_local(caller: Caller) -> bool:
    if any(name in caller.headers for name in _PROXIES):
        return False
    try:
        address = ip_address(caller.address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _check_host(caller: Caller) -> None:
    host = caller.headers.get("Host", "")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if name == "localhost" or name.endswith(".localhost"):
        return
    try:
        ip_address(name.partition("%")[0])
    except ValueError as error:
        raise ControlError(
            "forbidden-host",
            f"without a token, a request names this machine by its address, not as {host!r}",
            ("localhost", "127.0.0.1", "[::1]"),
        ) from error


def _check_site(caller: Caller) -> None:
    site = caller.headers.get("Sec-Fetch-Site")
    origin = caller.headers.get("Origin")
    own = f"{caller.scheme}://{caller.headers.get('Host', '')}"
    if (site is not None and site not in _OWN_SITES) or (
        origin is not None and origin.lower() != own.lower()
    ):
        raise ControlError(
            "cross-site", "without a token, no page of another site may ask", (own,)
        )

"""The page's files as they are served.

Each file but ``/`` has the digest of them all in its path, so that browsers keep it for ever
and still never mix two versions. ``/`` names that digest; browsers request it each time, and get no body
while nothing has changed.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Final, NamedTuple

_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".html": "text/html; charset=utf-8",
        ".css": "text/css; charset=utf-8",
        ".js": "text/javascript; charset=utf-8",
        ".svg": "image/svg+xml",
    }
)
_DIGEST_LEN: Final = 16
# Nothing but our own files, and no text can become markup or script: Trusted Types without a
# policy make assignments to innerHTML and the like fail.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": _POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
)
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_EACH_TIME: Final = "no-cache"


class PageFile(NamedTuple):
    """One file of the page.

    Attributes:
        body: Octets.
        headers: All that belong to it, ``ETag`` included.
    """

    body: bytes
    headers: Mapping[str, str]


def _load() -> Mapping[str, PageFile]:
    """Return the page's files by path, ``/`` among them.

    Reads some 130 KB from disk: not for the event loop.
    """
    sources = dict(_walk(files("bgpd.page") / "static", ""))
    digest = hashlib.sha256()
    for name in sorted(sources):
        digest.update(name.encode() + b"\0" + sources[name] + b"\0")
    version = digest.hexdigest()[:_DIGEST_LEN]
    index = _index(sources, version)
    served = {
        f"/page/{version}/{name}": _file(name, body, version, _FOR_EVER)
        for name, body in sources.items()
        if name != "index.html"
    }
    index_file = _file("index.html", index, version, _EACH_TIME)
    return MappingProxyType({"/": index_file, **served})


def _walk(folder: Traversable, under: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for item in folder.iterdir():
        name = f"{under}{item.name}"
        if item.is_dir():
            found += _walk(item, f"{name}/")
        elif _suffix(name) in _TYPES:
            found.append((name, item.read_bytes()))
    return found


def _suffix(name: str) -> str:
    return name[name.rfind(".") :]


def _index(sources: Mapping[str, bytes], version: str) -> bytes:
    """Return the first file, which has the browser fetch all modules at once."""
    modules = sorted(name for name in sources if name.endswith(".js"))
    preloads = "\n".join(
        f'<link rel="modulepreload" href="page/{version}/{name}">'
        for name in modules
        if name not in ("main.js", "theme.js")
    )
    text = sources["index.html"].decode()
    return text.replace("@version@", version).replace("@preloads@", preloads).encode()


def _file(name: str, body: bytes, version: str, caching: str) -> PageFile:
    headers = {
        **_HEADERS,
        "Content-Type": _TYPES[_suffix(name)],
        "Cache-Control": caching,
        "ETag": f'"{version}"',
    }
    return PageFile(body, MappingProxyType(headers))


FILES: Final[Mapping[str, PageFile]] = _load()
"""The page's files by path, ``/`` among them: read when this module is loaded."""

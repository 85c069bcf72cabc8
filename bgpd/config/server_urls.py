"""URLs of API servers. Pure."""

from urllib.parse import urlsplit

_MAX_SHOWN = 60  # characters of what was found


def server_url_problem(url: str) -> str:
    """Return what is wrong with a server's URL; empty if nothing is."""
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and parts.port != 0
            and not (parts.query or parts.fragment or parts.username)
            and url.isprintable()
            and " " not in url
        )
    except ValueError:
        is_good = False
    return "" if is_good else f"expected https://HOST:PORT, found {url[:_MAX_SHOWN]!r}"

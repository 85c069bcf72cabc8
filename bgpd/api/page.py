"""The page at ``/``, as documents of the API's server.

Its files need no token, since they hold nothing of the daemon; what the page then asks for does.
They are read by a thread, at the first request.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from bgpd.api.late_import import late_import
from bgpd.api.paths import Document, Made
from bgpd.api.protocol import ControlError, Rights, shown

if TYPE_CHECKING:  # loaded by a thread
    from bgpd.page.files import PageFile

_INDEX: Final = "/"
_FILES: Final = ("/page/{version}/{name}", "/page/{version}/{folder}/{name}")


class _Page:
    """Answers with the page's files."""

    def __init__(self) -> None:
        self._files: Mapping[str, PageFile] | None = None

    async def make(
        self, headers: Mapping[str, str], in_path: Mapping[str, str]
    ) -> Made:
        """See ``Document``."""
        if self._files is None:
            # The module reads its files while it is loaded: by the same thread.
            self._files = (await late_import("bgpd.page.files")).FILES
        path = "/".join(("/page", *in_path.values())) if in_path else _INDEX
        found = self._files.get(path)
        if found is None:
            raise ControlError(
                "unknown-path", f"the page has no {shown(path)}: load / again", ("/",)
            )
        return _answer(found, headers.get("If-None-Match", ""))


def _answer(file: "PageFile", known: str) -> Made:
    """Return a file, or that a browser has it already (RFC 9110 13.1.2)."""
    kind = file.headers["Content-Type"]
    if file.headers["ETag"] in (each.strip() for each in known.split(",")):
        return Made(kind, (), HTTPStatus.NOT_MODIFIED, file.headers)
    return Made(kind, (file.body,), HTTPStatus.OK, file.headers)


def page_documents() -> tuple[Document, ...]:
    """Return the page."""
    page = _Page()
    return tuple(Document(path, page.make, Rights.NONE) for path in (_INDEX, *_FILES))

"""Long texts of clients, sent in pieces that are each a short request.

A configuration of megabytes in one request would hold the loop while it is decoded. Its pieces
do not, and they are forgotten if the rest does not follow.
"""

import asyncio
from typing import Final

from bgpd.api.protocol import ControlError
from bgpd.texts.limits import CONFIGURATION

MOST: Final = 4  # at a time
KEPT: Final = 60.0  # seconds after the last piece
_NAME: Final = 64  # characters


class Uploads:
    """Texts that are being sent; few and bounded, since a client may go away in the middle."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[str]] = {}
        self._sizes: dict[str, int] = {}
        self._touched: dict[str, float] = {}

    def add(self, name: str, piece: str) -> int:
        """Add a piece to a text; return how many characters there are.

        Args:
            name: Chosen by the client at random.
            piece: What follows.

        Raises:
            ControlError: ``too-large``, ``busy`` or ``bad-argument``.
        """
        if not 0 < len(name) <= _NAME:
            raise ControlError(
                "bad-argument", f"an upload is named by 1 to {_NAME} letters"
            )
        now = asyncio.get_running_loop().time()
        for each, touched in tuple(self._touched.items()):
            if now - touched > KEPT:
                self.forget(each)
        if name not in self._pieces and len(self._pieces) >= MOST:
            raise ControlError("busy", f"{MOST} texts are being sent; try again later")
        size = self._sizes.get(name, 0) + len(piece)
        if size > CONFIGURATION.octets:
            self.forget(name)
            raise ControlError(
                "too-large",
                f"the text is too long; the limit is {CONFIGURATION.octets}",
            )
        self._pieces.setdefault(name, []).append(piece)
        self._sizes[name], self._touched[name] = size, now
        return size

    def take(self, name: str) -> str:
        """Return a text, and forget it.

        Raises:
            ControlError: ``no-such-upload``.
        """
        if name not in self._pieces:
            raise ControlError(
                "no-such-upload", "there is no such upload; it may have been too slow"
            )
        text = "".join(self._pieces[name])
        self.forget(name)
        return text

    def forget(self, name: str) -> None:
        """Forget a text."""
        for table in (self._pieces, self._sizes, self._touched):
            table.pop(name, None)

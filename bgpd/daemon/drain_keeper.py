"""Keeps drains over restarts, in a file beside the control socket.

What is drained stays so until it is undrained: a restart, or a crash, must not bring traffic back
to what an operator took out of service. The file is there only while something is drained. A
thread writes it, since a disk may be slow.
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from bgpd.speaker.drain_orders import MAX_OCTETS, decode, encode
from bgpd.speaker.draining import Draining
from bgpd.speaker.speaker import Speaker
from bgpd.texts.files import read_text
from bgpd.texts.limits import TextError
from bgpd.texts.state_files import make_folder, write_file

_MODE: Final = 0o600  # our list of peers is private

_log = logging.getLogger(__name__)


class DrainKeeper:
    """Drains of a speaker that outlive the process.

    Args:
        speaker: Whose; it has no peers yet, or no file is there.
        path: Of the file; ``None`` keeps nothing.

    Attributes:
        draining: Changes them.
        fault: Why the file is not what it should be; empty if it is.
    """

    def __init__(self, speaker: Speaker, path: Path | None) -> None:
        self.draining = Draining(speaker, self._changed)
        self.fault = ""
        self._speaker = speaker
        self._path = path
        self._writing: asyncio.Future[None] | None = None
        self._has_changed = False

    def restore(self) -> None:
        """Take the orders of the previous run; to be called before there are peers."""
        if self._path is None:
            return
        try:
            found = decode(read_text(self._path, MAX_OCTETS, follows=False))
        except FileNotFoundError:
            return
        except (OSError, TextError) as error:
            self._note(f"{self._path}: cannot read which peers are drained: {error}")
            return
        if found is None:
            self._note(
                f"{self._path}: cannot read which peers are drained: the file is damaged"
            )
            return
        orders = self._speaker.context.drains
        orders.whole.update(found.whole)
        orders.peers.update(found.peers)
        _log.info(
            "restart: all peers stay drained"
            if orders.whole
            else "restart: %(count)d peers stay drained",
            {"event": "drains-restored", "count": len(orders.peers)},
        )

    def _changed(self) -> None:
        self._has_changed = True
        if self._writing is None and self._path is not None:
            self._has_changed = False
            text = encode(self._speaker.context.drains)
            loop = self._speaker.loop
            self._writing = loop.run_in_executor(None, _write, self._path, text)
            self._writing.add_done_callback(self._written)

    def _written(self, writing: "asyncio.Future[None]") -> None:
        self._writing = None
        if writing.cancelled():
            return
        self._tell(writing.exception())
        if self._has_changed:
            self._changed()

    def _tell(self, error: BaseException | None) -> None:
        if error is None:
            self.fault = ""
        else:
            self._note(f"{self._path}: cannot save which peers are drained: {error}")

    def _note(self, fault: str) -> None:
        self.fault = fault
        _log.warning("%(reason)s", {"event": "drains-not-kept", "reason": fault})

    def warnings(self) -> list[str]:
        """Return what an operator should know now."""
        return [self.fault] if self.fault else []

    async def close(self) -> None:
        """End all waiting; return once the file is written."""
        self.draining.close()
        while self._writing is not None:
            await asyncio.wait([self._writing])
            await asyncio.sleep(0)


def _write(path: Path, text: str) -> None:
    if not text:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return
    make_folder(path.parent)
    write_file(path, text.encode(), _MODE)

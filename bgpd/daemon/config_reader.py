"""Reading a configuration in a process of its own, while sessions run."""

import asyncio
import logging
from contextlib import aclosing
from dataclasses import replace

from bgpd.config.loader import Loaded
from bgpd.config.reading import Assembly, Source, load_in_pieces
from bgpd.daemon.errors import ReloadError
from bgpd.worker.worker import Worker, WorkerError

_log = logging.getLogger(__name__)


class ConfigReader:
    """Reads one configuration, as often as it is asked to; takes it in between other work.

    Args:
        source: What is read.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._worker = Worker()

    async def read(self, text: str | None = None, name: str = "") -> Loaded:
        """Return what it is now.

        Args:
            text: Read in place of the file's text; ``None`` reads the file.
            name: What errors call the text.

        Raises:
            ReloadError: It has errors, or cannot be read.
        """
        source, assembly = self._source, Assembly()
        if text is not None:
            source = replace(source, text=text, text_name=name)
        try:
            async with aclosing(self._worker.pieces(load_in_pieces, source)) as pieces:
                async for piece in pieces:
                    assembly.take(piece)
                    await asyncio.sleep(0)  # what is there already comes without a wait
        except Exception as error:
            text = str(error)
            if not isinstance(error, WorkerError):
                text = f"{type(error).__name__}: {error}"
                _log.exception(
                    "reading the configuration failed",
                    {"event": "reload-failed", "file": source.file, "reason": text},
                )
            where = name or source.file or "the environment"
            raise ReloadError(f"cannot read {where}: {text}") from error
        found = assembly.result()
        if isinstance(found, str):
            raise ReloadError(found)
        return found

    async def close(self) -> None:
        """Stop whatever is being read."""
        await self._worker.close()

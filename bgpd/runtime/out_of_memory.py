"""Ends the process with a log line when memory has run out.

A routing daemon that has no memory left cannot do its work half. To give up one session for
each allocation that fails loses them all, one after another, and leaves a process that keeps
routes of peers it does not speak to. A process that ends is started again by its supervisor,
and peers that agreed on graceful restart keep their routes for that long. So a
``MemoryError`` that reaches the event loop ends the process at once. What has a border of
its own (a file that is read, an answer that is made) may fail alone.
"""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final

EXIT_EXHAUSTED: Final = 71  # EX_OSERR of sysexits.h
RESERVE: Final = 8 << 20  # octets of address space, given back to say the last words

_log = logging.getLogger(__name__)


class OutOfMemory:
    """Ends the process once memory has run out.

    Args:
        leave: Ends the process with an exit code; whatever it holds is the kernel's to free.
    """

    def __init__(self, leave: Callable[[int], object] = os._exit) -> None:
        self._leave = leave
        # From calloc, so untouched and no RSS; a bytearray writes its zeros.
        self._reserve: bytes | None = bytes(RESERVE)

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Watch exceptions of a loop's callbacks, and unraisable ones."""
        loop.set_exception_handler(self._failed)
        told = sys.unraisablehook

        def failed(found: "sys.UnraisableHookArgs") -> None:
            if isinstance(found.exc_value, MemoryError):
                self.end()
            told(found)

        sys.unraisablehook = failed

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if isinstance(context.get("exception"), MemoryError):
            self.end()
        else:
            loop.default_exception_handler(context)

    def end(self) -> None:
        """End the process."""
        try:
            self._reserve = None
            _log.critical(
                "out of memory: exiting with code %(exit_code)d, so that the service manager "
                "restarts the daemon",
                {"event": "out-of-memory", "exit_code": EXIT_EXHAUSTED},
            )
            for handler in logging.getLogger().handlers:
                handler.flush()
        finally:
            self._leave(EXIT_EXHAUSTED)

"""Writes lines to a descriptor that may block or fail: a full pipe, a full disk.

The event loop must never wait for the reader of the log. Lines go through a queue of bounded
size to a thread, which alone may wait. What finds no room is counted, and so is what the
kernel refuses; how many were lost, and why, is the next line that gets through.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from select import POLLOUT, poll
from typing import Final

QUEUE_OCTETS: Final = 1 << 20  # some 8,000 lines
IMPORTANT_SHARE: Final = 0.5
"""Part of the queue for warnings and errors only: a flood of lesser lines must
not displace the warnings about its cause."""
BATCH_OCTETS: Final = 1 << 16  # written in one go: what a pipe takes
TICK: Final = 1.0  # seconds
FLUSH_TIME: Final = 1.0  # seconds that an end waits for the reader, at most
_NOT_READ: Final = "the reader was too slow"


class LogWriter:
    """Writes lines by a thread that begins with the first of them.

    Args:
        descriptor: Where to.
        lost: Makes the line that tells how many lines were lost, and why.
        tick: Called by the thread, about once a second while ``is_ticking`` says so.
        is_ticking: See there.

    Attributes:
        lost_count: Lines that were not written, ever.
    """

    def __init__(
        self,
        descriptor: int,
        lost: Callable[[int, str], bytes],
        tick: Callable[[], object],
        is_ticking: Callable[[], bool],
    ) -> None:
        self.lost_count = 0
        self._descriptor = descriptor
        self._lost_line = lost
        self._tick = tick
        self._is_ticking = is_ticking
        self._changed = threading.Condition()
        self._queue: deque[bytes] = deque()
        self._size = 0  # octets in the queue
        self._untold = 0  # lost lines not reported yet
        self._reason = ""
        self._is_writing = False
        self._is_closing = False
        self._thread: threading.Thread | None = None

    def put(self, line: bytes, *, is_important: bool = True) -> None:
        """Queue a line; it is lost if there is no room. Never waits for the reader."""
        with self._changed:
            most = QUEUE_OCTETS * (1 if is_important else IMPORTANT_SHARE)
            if self._size + len(line) > most:
                self._lose(1, _NOT_READ)
                return
            self._queue.append(line)
            self._size += len(line)
            if self._thread is None and not self._is_closing:
                self._thread = threading.Thread(
                    target=self._run, name="log", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def _lose(self, count: int, reason: str) -> None:
        self.lost_count += count
        self._untold += count
        self._reason = reason

    def flush(self, seconds: float = FLUSH_TIME) -> bool:
        """Wait until all is written, not longer than ``seconds``; say whether it is."""
        with self._changed:
            return self._thread is None or self._changed.wait_for(
                lambda: not (self._queue or self._is_writing), seconds
            )

    def close(self, seconds: float = FLUSH_TIME) -> None:
        """Write what is left, not longer than ``seconds``; drop the rest."""
        self.flush(seconds)
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._is_writing = False
                self._changed.notify_all()
                if not self._queue and not self._is_closing:
                    self._changed.wait(TICK if self._is_ticking() else None)
                if not self._queue and self._is_closing:
                    return
                lines = self._take()
                self._is_writing = bool(lines)
            if lines:
                self._write(lines)
            self._tick()

    def _take(self) -> list[bytes]:
        """Take lines out of the queue, after one about lost lines."""
        lines: list[bytes] = []
        octets = 0
        while self._queue and octets < BATCH_OCTETS:
            lines.append(self._queue.popleft())
            octets += len(lines[-1])
        self._size -= octets
        if lines and self._untold:
            lines.insert(0, self._lost_line(self._untold, self._reason))
            self._untold = 0
        return lines

    def _write(self, lines: list[bytes]) -> None:
        left = memoryview(b"".join(lines))
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # a process that shares it made it so
                    asked = poll()
                    asked.register(self._descriptor, POLLOUT)
                    asked.poll(TICK * 1000)
        except OSError as error:
            with self._changed:
                count = bytes(left).count(b"\n") or 1
                self._lose(count, error.strerror or str(error))
                self._changed.wait_for(lambda: self._is_closing, TICK)

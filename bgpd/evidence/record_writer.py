"""Writes records to files that follow each other, by a thread that alone may wait for the disk.

The event loop hands records over and goes on. What finds no room in the queue, or no file, is
dropped and counted: a disk that is full, slow or gone costs records, and never a session. When it
works again, a new file begins.
"""

import logging
import threading
import time
from dataclasses import dataclass
from errno import ENOENT
from typing import Final

from bgpd.evidence.mrt_files import GrowingFile, name_at, prune

QUEUE_OCTETS: Final = 1 << 24
"""Of records that wait for the disk; as many may be on their way there."""
TICK: Final = 1.0  # seconds; so old may be what a crash loses, with gzip
RETRY: Final = 10.0  # seconds between attempts while files cannot be written
CLOSE_TIME: Final = 2.0  # seconds that the end waits for the disk

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FilePlan:
    """Which files are written, and how many are kept.

    Attributes:
        kind: First word of their names.
        folder: Where; it must be there.
        compression: ``none``, ``gzip`` or ``bzip2``.
        interval: Seconds after which a new one begins, counted from the full hour.
        file_octets: Octets of records, not compressed, after which a new one begins.
        max_files: So many are kept.
        max_octets: So many octets in all are kept.
    """

    kind: str
    folder: str
    compression: str
    interval: int
    file_octets: int
    max_files: int
    max_octets: int


@dataclass(slots=True)
class FileCounts:
    """What became of records.

    Attributes:
        files: Completed.
        records: Written.
        dropped: Not written: no room in the queue, or no file.
        errors: Times that the disk refused something.
    """

    files: int = 0
    records: int = 0
    dropped: int = 0
    errors: int = 0


class RecordWriter:
    """The files of one kind, and the thread that writes them.

    Args:
        plan: See there.
        counts: Go on with these.

    Attributes:
        fault: What is wrong now, for people; empty if nothing.
    """

    def __init__(self, plan: FilePlan, counts: FileCounts) -> None:
        self.counts = counts
        self.fault = ""
        self._plan = plan
        self._changed = threading.Condition()
        self._queue: list[bytes] = []
        self._size = 0  # octets in the queue
        self._is_closing = False
        self._file: GrowingFile | None = None
        self._ends_at = 0.0
        self._retry_at = 0.0  # on the clock of time.monotonic
        self._thread = threading.Thread(
            target=self._run, name=f"mrt {plan.kind}", daemon=True
        )
        self._thread.start()

    def put(self, record: bytes) -> None:
        """Hand over a record; it is dropped if there is no room. Never waits for the disk."""
        with self._changed:
            if self._size + len(record) > QUEUE_OCTETS:
                self.counts.dropped += 1
                return
            self._queue.append(record)
            self._size += len(record)
            if len(self._queue) == 1:
                self._changed.notify()

    def close(self) -> None:
        """Write what is there, and complete the file, while others go on."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()

    def wait(self) -> None:
        """Wait for the end; a disk that hangs is not waited for."""
        self._thread.join(CLOSE_TIME)

    # -- the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        is_over = False
        while not is_over:
            with self._changed:
                if not self._queue and not self._is_closing:
                    self._changed.wait(TICK)
                records, self._queue = self._queue, []
                self._size = 0
                is_over = self._is_closing
            try:
                self._take(records, time.time())
                if is_over:
                    self._finish()
            except OSError as error:
                self._fail(error)

    def _take(self, records: list[bytes], now: float) -> None:
        """Write records, and begin and end files; count what is not written.

        Raises:
            OSError: The disk refuses something.
        """
        done = 0
        try:
            if self._file is None and time.monotonic() < self._retry_at:
                return
            self._look_after(now)
            for record in records:
                if self._file is None:  # the last one is full
                    self._begin(now)
                file = self._file
                if file is None:  # for the type alone: it has begun
                    return
                file.write(record)
                done += 1
                if file.given >= self._plan.file_octets:
                    self._finish()
            if self._file is not None and not self._is_closing:
                self._file.sync()
        finally:
            self.counts.records += done
            self.counts.dropped += len(records) - done
        self._works_again()

    def _look_after(self, now: float) -> None:
        """End a file that is due, and have one: a folder that is missing shows at once.

        Raises:
            OSError: It cannot be made, or the one there was is gone.
        """
        file = self._file
        if file is not None and now >= self._ends_at:
            self._finish()
        elif file is not None and file.has_vanished():
            raise FileNotFoundError(
                ENOENT, "the file that was written is gone", self._plan.folder
            )
        if self._file is None:
            self._begin(now)

    def _begin(self, now: float) -> None:
        plan = self._plan
        self._file = GrowingFile(
            plan.folder, name_at(plan.kind, now, plan.compression), plan.compression
        )
        self._ends_at = (now // plan.interval + 1) * plan.interval
        prune(plan.folder, plan.kind, plan.max_files, plan.max_octets)

    def _finish(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        if not file.given:
            file.discard()
            return
        file.finish()
        self.counts.files += 1
        plan = self._plan
        prune(plan.folder, plan.kind, plan.max_files, plan.max_octets)

    def _drop_file(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            file.abandon()

    def _fail(self, error: OSError) -> None:
        self._drop_file()
        self._retry_at = time.monotonic() + RETRY
        self.counts.errors += 1
        reason = f"{error.strerror or error} ({self._plan.folder})"
        text = f"MRT files ({self._plan.kind}): {reason}; records are dropped"
        if text != self.fault:
            _log.error(
                "MRT files (%(records)s): %(reason)s; records are dropped; retrying every "
                "%(seconds)g s",
                {
                    "event": "mrt-files-failed",
                    "records": self._plan.kind,
                    "reason": reason,
                    "seconds": RETRY,
                },
            )
        self.fault = text

    def _works_again(self) -> None:
        if self.fault:
            self.fault = ""
            _log.info(
                "MRT files (%(records)s): written again; %(dropped)d records were dropped",
                {
                    "event": "mrt-files-recovered",
                    "records": self._plan.kind,
                    "dropped": self.counts.dropped,
                },
            )

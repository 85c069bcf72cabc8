"""Log output: standard error, as text or JSON lines, without blocking.

A line on its way: ``LogLimit`` counts what comes too often, ``LogWriter`` takes it to its
descriptor. A call may say what makes its lines alike, where the first argument alone does not::

    _log.warning("%s: ...", peer, extra=alike(peer, reason))
"""

import json
import logging
import os
import sys
import threading
import time
from typing import Any, Final, NamedTuple

from bgpd.config.settings import LogFormat, LogSettings
from bgpd.runtime.log_limit import BURST, Kind, LogLimit
from bgpd.runtime.log_writer import FLUSH_TIME, LogWriter

STANDARD_ERROR: Final = 2
MOST_LINE: Final = 16384  # characters; of a longer line the beginning is written
_TEXT: Final = "%(asctime)s %(levelname)-7s %(message)s"
_ALIKE: Final = "alike"
_SEVERITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG: Final = 7
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_log = logging.getLogger(__name__)


class _Alike(NamedTuple):
    subject: str
    reason: str
    number: int
    burst: int


def alike(
    subject: str, reason: str = "", *, count: int = 1, burst: int = 1
) -> dict[str, Any]:
    """Return the ``extra`` of a log call that says which lines are similar to it.

    Args:
        subject: Whom it is about.
        reason: Why it is written.
        count: How many events it stands for.
        burst: Of lines alike, so many are written within an interval, the others counted.
    """
    return {_ALIKE: _Alike(subject, reason, count, burst)}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MOST_LINE],
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MOST_LINE:]
        return json.dumps(line, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One line a record, and a traceback below it if any."""

    def __init__(self, text: str = _TEXT) -> None:
        super().__init__(text)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        text = super().format(record)
        if len(text) > 2 * MOST_LINE:  # the end of a traceback tells most
            text = f"{text[:MOST_LINE]}\n...\n{text[-MOST_LINE:]}"
        return text


class JournalFormatter(logging.Formatter):
    """Lines for systemd's journal, with their severity (sd-daemon(3)).

    Without it all lines count as informational, and ``journalctl -p warning`` has none. The
    journal takes it off each line, and has the time itself.

    Args:
        inner: Makes the lines; ``None`` for plain text.
    """

    def __init__(self, inner: logging.Formatter | None = None) -> None:
        super().__init__()
        self._inner = inner or TextFormatter("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines."""
        severity = next(
            (number for level, number in _SEVERITIES if record.levelno >= level),
            _DEBUG,
        )
        lines = self._inner.format(record).splitlines() or [""]
        return "\n".join(f"<{severity}>{line}" for line in lines)


def is_journal(descriptor: int, stream: str) -> bool:
    """Whether systemd's journal reads what is written to a descriptor.

    Args:
        descriptor: Such as standard error.
        stream: The variable ``JOURNAL_STREAM`` (systemd.exec(5)): device and inode.
    """
    try:
        found = os.fstat(descriptor)
    except OSError:
        return False
    return stream == f"{found.st_dev}:{found.st_ino}"


class DaemonHandler(logging.Handler):
    """Our only handler, distinct from those of others.

    Attributes:
        limit: Counts lines that come too often.
        writer: Takes lines to standard error.
    """

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        super().__init__()
        self.limit = LogLimit()
        self.writer = LogWriter(
            descriptor, self._lost, self.tick, lambda: bool(self.limit)
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line, or count it; the caller holds the handler's lock."""
        try:
            if record.levelno > logging.DEBUG and not self._is_admitted(record):
                return
            self._queue(record)
        except Exception:  # noqa: BLE001  # as logging does: a line must end nothing
            self.handleError(record)

    def _is_admitted(self, record: logging.LogRecord) -> bool:
        given = getattr(record, _ALIKE, None)
        if not isinstance(given, _Alike):
            first = (
                record.args[0] if isinstance(record.args, tuple) and record.args else ""
            )
            given = _Alike(str(first), "", 1, BURST)
        place = (record.pathname, record.lineno)
        kind = Kind(place, given.subject, given.reason)
        if self.limit.admits(kind, time.monotonic(), given.number, given.burst):
            return True
        text = record.getMessage()[:MOST_LINE]
        self.limit.hold(kind, record.levelno, record.name, text)
        return False

    def _queue(self, record: logging.LogRecord) -> None:
        octets = f"{self.format(record)}\n".encode(errors="backslashreplace")
        self.writer.put(octets, is_important=record.levelno >= logging.WARNING)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Count a line that cannot be formatted: there is no other way to report it."""
        self.writer.put(f"cannot format a log line of {record.name}\n".encode())

    def _lost(self, count: int, reason: str) -> bytes:
        text = f"{count} log lines were lost here: {reason}"
        return f"{self.format(_record(logging.WARNING, __name__, text))}\n".encode()

    def tick(self, *, at_once: bool = False) -> None:
        """Write summaries of suppressed lines whose interval is over."""
        with self.lock or threading.Lock():
            for found in self.limit.summaries(time.monotonic(), at_once=at_once):
                text = (
                    f"suppressed {found.number} similar lines within {found.seconds:.0f} s: "
                    f"{found.text}"
                )
                self._queue(_record(found.level, found.logger, text))

    def flush(self) -> None:
        """Wait briefly for queued lines."""
        self.writer.flush()

    def close(self) -> None:
        """Write summaries and queued lines, and end."""
        self.tick(at_once=True)
        self.writer.close(FLUSH_TIME)
        super().close()


def _record(level: int, logger: str, text: str) -> logging.LogRecord:
    return logging.LogRecord(logger, level, __file__, 0, text, None, None)


class LogFigures(NamedTuple):
    """Counts of lines that were lost or suppressed.

    Attributes:
        lost: Lines that were not read in time, or could not be written.
        counted: Lines that came too often, which summaries count.
    """

    lost: int = 0
    counted: int = 0


def log_figures() -> LogFigures:
    """Return the figures of this process."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DaemonHandler):
            return LogFigures(handler.writer.lost_count, handler.limit.counted)
    return LogFigures()


def set_up_logging(settings: LogSettings) -> None:
    """Send log lines of all packages to standard error.

    A second call changes level and format; what is queued and counted stays.
    """
    root = logging.getLogger()
    handlers = [each for each in root.handlers if isinstance(each, DaemonHandler)]
    handler = handlers[0] if handlers else DaemonHandler()
    is_json = settings.format is LogFormat.JSON
    formatter: logging.Formatter = JsonFormatter() if is_json else TextFormatter()
    if is_journal(STANDARD_ERROR, os.environ.get("JOURNAL_STREAM", "")):
        formatter = JournalFormatter(formatter if is_json else None)
    handler.setFormatter(formatter)
    if not handlers:
        root.addHandler(handler)
    root.setLevel(_LEVELS[settings.level])


def catch_output() -> None:
    """Send to the log what Python itself would write to standard error.

    Warnings, errors of destructors and threads, and what ends the process.
    """
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _log.critical(
        "terminated by an internal error", exc_info=(kind, error, trace)
    )
    sys.unraisablehook = lambda found: _log.error(
        "%s",
        found.err_msg or "unraisable error",
        exc_info=found.exc_value,
    )
    threading.excepthook = lambda found: _log.error(
        "a thread terminated by an error", exc_info=found.exc_value
    )


def say_last(text: str) -> None:
    """Write a plain line, as the last one of a process that ends."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DaemonHandler):
            handler.writer.put(f"{text}\n".encode(errors="backslashreplace"))
            handler.flush()

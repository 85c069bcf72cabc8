"""Log output: standard error, as text or JSON lines, without blocking.

A line on its way: ``LogLimit`` counts what comes too often, ``LogWriter`` takes it to its
descriptor. ``log_fields`` tells how a call names its values. It may also say which of them make
its lines alike, where the first alone does not::

    _log.warning("%(peer)s: ...", {...}, extra=alike("peer", "reason"))
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from bgpd.config.settings import LogFormat, LogSettings
from bgpd.runtime.log_fields import (
    fields_of,
    subject_of,
    to_json,
    values_of,
    with_fields,
)
from bgpd.runtime.log_limit import BURST, Kind, LogLimit, Summary
from bgpd.runtime.log_writer import FLUSH_TIME, LogWriter
from bgpd.texts.moments import utc_with_milliseconds

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
        subject: Names of the fields that say whom it is about, with spaces between.
        reason: Names of those that say why it is written.
        count: How many events it stands for.
        burst: Of lines alike, so many are written within an interval, the others counted.
    """
    return {_ALIKE: _Alike(subject, reason, count, burst)}


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, its fields, a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": utc_with_milliseconds(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage()[:MOST_LINE],
        }
        for name, value in fields_of(record).items():
            line.setdefault(name, value)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-MOST_LINE:]
        return to_json(line)


class TextFormatter(logging.Formatter):
    """One line a record, and a traceback below it if any."""

    def __init__(self, text: str = _TEXT) -> None:
        super().__init__(text)

    def formatTime(  # noqa: N802  # logging's name
        self,
        record: logging.LogRecord,
        datefmt: str | None = None,  # noqa: ARG002  # RFC 3339 alone
    ) -> str:
        """Return when, in UTC, as lines of JSON have it."""
        return utc_with_milliseconds(record.created)

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
        is_json: Each line is an object.
        limit: Counts lines that come too often.
        writer: Takes lines to standard error.
    """

    is_json = False

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
        place = (record.pathname, record.lineno)
        if isinstance(given, _Alike):
            values = values_of(record)
            kind = Kind(
                place, _joined(values, given.subject), _joined(values, given.reason)
            )
        else:
            kind, given = Kind(place, subject_of(record)), _Alike("", "", 1, BURST)
        if self.limit.admits(kind, time.monotonic(), given.number, given.burst):
            return True
        text = record.getMessage()[:MOST_LINE]
        self.limit.hold(kind, record.levelno, record.name, text, fields_of(record))
        return False

    def _queue(self, record: logging.LogRecord) -> None:
        octets = f"{self.format(record)}\n".encode(errors="backslashreplace")
        self.writer.put(octets, is_important=record.levelno >= logging.WARNING)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Say that a line cannot be formatted: there is no other way to report it."""
        text = f"cannot format a log line of {record.name}"
        self.say(text, record.name, {"event": "line-not-formatted"})

    def say(self, text: str, logger: str, fields: Mapping[str, object]) -> None:
        """Write a line that is plain where lines are text: what made it may be at fault."""
        line = text
        if self.is_json:
            line = self.format(_complete(logger, logging.CRITICAL, text, fields))
        self.writer.put(f"{line}\n".encode(errors="backslashreplace"))

    def _lost(self, count: int, reason: str) -> bytes:
        record = logging.LogRecord(
            __name__,
            logging.WARNING,
            __file__,
            0,
            "%(count)d log lines were lost here: %(reason)s",
            ({"event": "log-lines-lost", "count": count, "reason": reason},),
            None,
        )
        return f"{self.format(record)}\n".encode()

    def tick(self, *, at_once: bool = False) -> None:
        """Write summaries of suppressed lines whose interval is over."""
        with self.lock or threading.Lock():
            for found in self.limit.summaries(time.monotonic(), at_once=at_once):
                self._queue(_record(found))

    def flush(self) -> None:
        """Wait briefly for queued lines."""
        self.writer.flush()

    def close(self) -> None:
        """Write summaries and queued lines, and end."""
        self.tick(at_once=True)
        self.writer.close(FLUSH_TIME)
        super().close()


def _joined(values: Mapping[str, object], names: str) -> str:
    return " ".join(str(values.get(name, "")) for name in names.split())


def _record(found: Summary) -> logging.LogRecord:
    """Return the line that stands for suppressed ones, with the fields of the last of them."""
    text = (
        f"suppressed {found.number} similar lines within {found.seconds:.0f} s: "
        f"{found.text}"
    )
    last = {"suppressed": found.number, "interval": found.seconds}
    return _complete(found.logger, found.level, text, {**found.fields, **last})


def _complete(
    logger: str, level: int, text: str, fields: Mapping[str, object]
) -> logging.LogRecord:
    record = logging.LogRecord(logger, level, __file__, 0, text, None, None)
    return with_fields(record, fields)


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
    handler.is_json = is_json
    if not handlers:
        root.addHandler(handler)
    handler.setLevel(_LEVELS[settings.level])
    set_level()


def set_level() -> None:
    """Let loggers make the lines that any handler wants, and no others."""
    root = logging.getLogger()
    wanted = [each.level for each in root.handlers if each.level != logging.NOTSET]
    root.setLevel(min(wanted, default=logging.WARNING))


def catch_output() -> None:
    """Send to the log what Python itself would write to standard error.

    Warnings, errors of destructors and threads, and what ends the process.
    """
    logging.captureWarnings(True)
    sys.excepthook = lambda kind, error, trace: _log.critical(
        "terminated by an internal error",
        {"event": "terminated"},
        exc_info=(kind, error, trace),
    )
    sys.unraisablehook = lambda found: _log.error(
        "%(reason)s",
        {
            "event": "python-error",
            "reason": found.err_msg or "unraisable error",
        },
        exc_info=found.exc_value,
    )
    threading.excepthook = lambda found: _log.error(
        "a thread terminated by an error",
        {"event": "thread-failed"},
        exc_info=found.exc_value,
    )


def say_last(reason: str) -> None:
    """Write why the process ends, as its last line; a plain one where lines are text."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DaemonHandler):
            fields = {"event": "start-failed", "reason": reason}
            handler.say(f"pybgpd: {reason}", __name__, fields)
            handler.flush()

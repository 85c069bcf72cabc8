"""Where log lines go: standard error, as text or JSON lines."""

import json
import logging
from typing import Final, TextIO

from bgpd.config.settings import LogFormat, LogSettings

_TEXT: Final = "%(asctime)s %(levelname)-7s %(message)s"
_LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class DaemonHandler(logging.StreamHandler[TextIO]):
    """Our one handler, told from those that others put beside it."""


def set_up_logging(settings: LogSettings) -> None:
    """Send log lines of all packages to standard error; a second call replaces the first."""
    handler = DaemonHandler()
    is_json = settings.format is LogFormat.JSON
    handler.setFormatter(JsonFormatter() if is_json else logging.Formatter(_TEXT))
    root = logging.getLogger()
    for former in root.handlers[:]:
        if isinstance(former, DaemonHandler):
            root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(_LEVELS[settings.level])

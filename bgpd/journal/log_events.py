"""Lines of the log -> events: what the daemon says about the network, as values.

One source for both keeps their names and fields the same. Whether a line is written, by its level
or because it comes too often, makes no difference to the event.
"""

import asyncio
import logging
import threading
from collections.abc import Mapping
from typing import Final

from bgpd.journal.event_journal import EventJournal
from bgpd.journal.kinds import KIND_OF, EventKind
from bgpd.runtime.log_fields import EVENT, fields_of, values_of

_MOST_MESSAGE: Final = 2048  # characters


class LogEvents(logging.Handler):
    """Adds lines that are events to the journal.

    Args:
        journal: Where they are kept.
        loop: Runs what reads the journal; lines of other threads are handed to it.
    """

    def __init__(self, journal: EventJournal, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(logging.INFO)
        self._journal = journal
        self._loop = loop
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Add a line's event, if it is one."""
        kind = KIND_OF.get(str(values_of(record).get(EVENT)))
        if kind is None:
            return
        try:
            fields = {
                **fields_of(record),
                "level": record.levelname.lower(),
                "message": record.getMessage()[:_MOST_MESSAGE],
            }
        except Exception:  # noqa: BLE001  # the line's own handler reports it
            return
        if threading.get_ident() == self._thread:
            self._journal.add(kind, fields, record.created)
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._add, kind, fields, record.created)

    def _add(self, kind: EventKind, fields: Mapping[str, object], at: float) -> None:
        self._journal.add(kind, fields, at)

"""The journal of a daemon: what it is fed by, for as long as its settings want it."""

import asyncio
import logging

from bgpd.config.settings import JournalSettings
from bgpd.journal.event_journal import EventJournal, Recorder
from bgpd.journal.log_events import LogEvents
from bgpd.runtime.log_setup import set_level
from bgpd.speaker.speaker import Speaker
from rib.family import Family


class JournalKeeper:
    """Feeds the journal with lines of the log and with flushes; nothing where it is off.

    Args:
        settings: How much is kept.

    Attributes:
        journal: What is kept.
    """

    def __init__(self, settings: JournalSettings) -> None:
        self.journal = EventJournal()
        self._settings = settings
        self._handler: LogEvents | None = None
        self._speaker: Speaker | None = None
        self._recorders: dict[Family, Recorder] = {}

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Keep events from now on, of the thread that this is called in and all others."""
        self._handler = LogEvents(self.journal, loop)
        self.follow(self._settings)

    def attach(self, speaker: Speaker) -> None:
        """Keep changes of a speaker's routes from its next flush on."""
        self._speaker = speaker
        self.follow(self._settings)

    def follow(self, settings: JournalSettings) -> None:
        """Keep as much as settings say; what fits stays."""
        self._settings = settings
        self.journal.set_limits(settings.max_events, settings.max_changes)
        if self._speaker is not None:
            self._speaker.context.malformed_updates.set_limits(
                settings.max_malformed_updates, settings.max_malformed_octets
            )
        if self._handler is not None:
            root = logging.getLogger()
            root.removeHandler(self._handler)
            if settings.max_events:
                root.addHandler(self._handler)
            set_level()
        for family in () if self._speaker is None else self._speaker.context.consumers:
            self._follow_family(self._speaker, family, is_on=settings.max_changes > 0)

    def _follow_family(
        self, speaker: Speaker | None, family: Family, *, is_on: bool
    ) -> None:
        if speaker is None or is_on == (family in self._recorders):
            return
        consumers = speaker.context.consumers[family]
        if is_on:
            recorder = self._recorders[family] = self.journal.recorder(family)
            consumers.attach(recorder)
        else:
            consumers.detach(self._recorders.pop(family))

    def close(self) -> None:
        """Keep no more events."""
        if self._handler is not None:
            logging.getLogger().removeHandler(self._handler)
            set_level()

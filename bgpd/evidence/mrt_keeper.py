"""MRT files of a daemon: what writes them, for as long as its settings want it."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from time import time
from typing import Final

from bgpd.config.evidence_settings import (
    MrtSettings,
    MrtTableSettings,
    MrtUpdateSettings,
)
from bgpd.evidence.disk_thread import DiskThread
from bgpd.evidence.dumps import dump_of
from bgpd.evidence.mrt_files import GrowingFile, name_at, prune
from bgpd.evidence.mrt_updates import MrtUpdates
from bgpd.evidence.record_writer import FileCounts, FilePlan, RecordWriter
from bgpd.evidence.table_dump import Chunk, TableDump, TooManyPeersError
from bgpd.speaker.speaker import Speaker

TABLE: Final = "rib"
UPDATES: Final = "updates"
_TURN: Final = 0.004  # seconds of making records before the loop gets its turn

_log = logging.getLogger(__name__)


class MrtKeeper:
    """Writes MRT files.

    Args:
        speaker: What is recorded.
        own_as: Returns our AS number.
    """

    def __init__(self, speaker: Speaker, own_as: Callable[[], int]) -> None:
        self._speaker = speaker
        self._own_as = own_as
        self._settings = MrtSettings()
        self._writer: RecordWriter | None = None
        self._updates: MrtUpdates | None = None
        self._dumps: asyncio.Task[None] | None = None
        self._table_fault = ""
        self._counts = {TABLE: FileCounts(), UPDATES: FileCounts()}

    def follow(self, settings: MrtSettings) -> None:
        """Write what settings say from now on."""
        old, self._settings = self._settings, settings
        if old.updates != settings.updates:
            self._end_updates()
            if settings.updates.folder:
                self._begin_updates(settings.updates)
        if old.table != settings.table:
            self._end_dumps()
            if settings.table.folder:
                self._dumps = self._speaker.loop.create_task(
                    self._dump_for_ever(settings.table), name="MRT dumps"
                )

    def faults(self) -> list[str]:
        """Return what an operator should know now, a line each."""
        writer = self._writer
        texts = ("" if writer is None else writer.fault, self._table_fault)
        return [text for text in texts if text]

    def figures(self) -> list[tuple[str, int, int, int, int]]:
        """Return what became of records: kind, files, records, dropped ones, errors."""
        return [
            (kind, counts.files, counts.records, counts.dropped, counts.errors)
            for kind, counts in self._counts.items()
        ]

    def close(self) -> None:
        """Complete the files that are written, in a second or two; dumps under way are dropped."""
        writer = self._writer
        self._end_updates()
        self._end_dumps()
        if writer is not None:
            writer.wait()

    # -- updates ----------------------------------------------------------------------------

    def _begin_updates(self, settings: MrtUpdateSettings) -> None:
        writer = self._writer = RecordWriter(
            FilePlan(
                UPDATES,
                settings.folder,
                settings.compression,
                settings.interval,
                settings.file_octets,
                settings.max_files,
                settings.max_octets,
            ),
            self._counts[UPDATES],
        )
        self._updates = MrtUpdates(
            self._speaker, settings.peers, writer.put, has_sent=settings.has_sent
        )
        self._updates.start()

    def _end_updates(self) -> None:
        updates, self._updates = self._updates, None
        if updates is not None:
            updates.close()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    # -- tables -----------------------------------------------------------------------------

    def _end_dumps(self) -> None:
        task, self._dumps = self._dumps, None
        if task is not None:
            task.cancel()
        self._table_fault = ""

    async def _dump_for_ever(self, settings: MrtTableSettings) -> None:
        disk = DiskThread(self._speaker.loop)
        try:
            while True:
                now = time()
                due = (now // settings.interval + 1) * settings.interval
                await asyncio.sleep(due - now)
                await self._dump_once(settings, disk)
        finally:
            disk.close()

    async def _dump_once(self, settings: MrtTableSettings, disk: DiskThread) -> None:
        counts = self._counts[TABLE]
        try:
            dump = dump_of(self._speaker, self._own_as())
            counts.records += await _write(dump, settings, disk)
        except (OSError, TooManyPeersError) as error:
            counts.errors += 1
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"{error.strerror or error} ({settings.folder})"
            self._note_fault(reason)
        else:
            counts.files += 1
            if self._table_fault:
                _log.info(
                    "MRT files (%(records)s): written again",
                    {"event": "mrt-files-recovered", "records": TABLE, "dropped": 0},
                )
            self._table_fault = ""

    def _note_fault(self, reason: str) -> None:
        text = f"MRT files ({TABLE}): {reason}; the tables were not dumped"
        if text != self._table_fault:
            _log.error(
                "MRT files (%(records)s): %(reason)s; the tables were not dumped",
                {"event": "mrt-dump-failed", "records": TABLE, "reason": reason},
            )
        self._table_fault = text


async def _write(dump: TableDump, settings: MrtTableSettings, disk: DiskThread) -> int:
    """Write a dump to a file, in slices here and by a thread there; return how many records.

    Raises:
        OSError: It cannot be written; nothing of it stays.
    """
    folder, compression = settings.folder, settings.compression
    name = name_at(TABLE, time(), compression)
    file = await disk.do(lambda: GrowingFile(folder, name, compression))
    records = 0
    try:
        chunks = dump.chunks()
        while (some := await _next_of(chunks)) is not None:
            records += some.records
            await disk.do(partial(file.write, some.octets))
        await disk.do(file.finish)
    except BaseException:
        disk.post(file.discard)
        raise
    await disk.do(lambda: prune(folder, TABLE, settings.max_files, settings.max_octets))
    return records


async def _next_of(chunks: Iterator[Chunk | None]) -> Chunk | None:
    """Return the next records, made in turns of a few milliseconds; ``None`` after the last."""
    clock = asyncio.get_running_loop().time
    until = clock() + _TURN
    for chunk in chunks:
        if chunk is not None:
            return chunk
        if clock() >= until:
            await asyncio.sleep(0)
            until = clock() + _TURN
    return None

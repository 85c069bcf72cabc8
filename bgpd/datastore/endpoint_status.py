"""Felix' folder of endpoint statuses: local workloads that peer with their node."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from bgpd.calico.endpoints import EndpointError, LocalEndpoint, parse_endpoint
from bgpd.calico.warnings import ObjectWarning
from bgpd.datastore.inotify import Inotify

POLL_INTERVAL: Final = 30.0  # seconds; the folder may be made later than we are
SETTLE: Final = 0.05  # seconds; files come in groups
FOLDER: Final = "endpoint-status"

_log = logging.getLogger(__name__)

Found = tuple[tuple[LocalEndpoint, ...], tuple[ObjectWarning, ...]]


class EndpointFolder:
    """The folder; what cannot be read stays as it was last understood.

    Felix writes over a file in place, so a reader may find half of it.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, LocalEndpoint] = {}

    def read(self) -> Found:
        """Return what the files tell, in the order of their names; none without it."""
        try:
            files = sorted(path for path in self._folder.iterdir() if path.is_file())
        except (FileNotFoundError, NotADirectoryError):
            files = []
        except OSError as error:
            warning = ObjectWarning(
                str(self._folder), "", f"{error}; all stays as it was"
            )
            return tuple(self._known.values()), (warning,)
        known: dict[Path, LocalEndpoint] = {}
        warnings: list[ObjectWarning] = []
        for file in files:
            try:
                known[file] = parse_endpoint(file.read_bytes())
            except FileNotFoundError:
                continue  # gone since it was listed
            except (EndpointError, OSError) as error:
                text = "passed over"
                if file in self._known:
                    known[file], text = self._known[file], "stays as it was"
                warnings.append(ObjectWarning(str(file), "", f"{error}; {text}"))
        self._known = known
        return tuple(known.values()), tuple(warnings)


async def follow_endpoints(folder: Path, deliver: Callable[[Found], None]) -> None:
    """Deliver what the folder holds, now and whenever it changed, for ever."""
    watch: Inotify | None = None
    try:
        watch = Inotify()
    except OSError as error:
        _log.warning("%s is looked at every %d s: %s", folder, POLL_INTERVAL, error)
    told: Found | None = None
    source = EndpointFolder(folder)
    try:
        while True:
            if watch is not None:
                watch.changed.clear()
                watch.watch({_nearest(folder)})
            found = source.read()
            if found != told:
                told = found
                deliver(found)
            await _news(watch)
    finally:
        if watch is not None:
            watch.close()


def _nearest(folder: Path) -> Path:
    """Return the folder, or where it will be made."""
    return folder if folder.is_dir() else folder.parent


async def _news(watch: Inotify | None) -> None:
    if watch is None:
        await asyncio.sleep(POLL_INTERVAL)
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_INTERVAL):
            await watch.changed.wait()
            await asyncio.sleep(SETTLE)

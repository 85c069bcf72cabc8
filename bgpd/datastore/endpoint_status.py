"""Felix' folder of endpoint statuses: local workloads that peer with their node."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from bgpd.calico.endpoints import EndpointError, LocalEndpoint, parse_endpoint
from bgpd.calico.slices import Slices, finish
from bgpd.calico.warnings import ObjectWarning
from bgpd.datastore.folder_watch import FolderWatch
from bgpd.texts.files import read_octets
from bgpd.texts.limits import ENDPOINT_STATUS, LimitError, TextError
from bgpd.worker.turns import in_turns

AUDIT_INTERVAL: Final = 30.0  # seconds; the folder may be made later than we are
POLL_INTERVAL: Final = 2.0  # seconds, without inotify
SETTLE: Final = 0.05  # seconds; files come in groups
FOLDER: Final = "endpoint-status"
MAX_FILES: Final = 10_000  # a node has some 250 pods
MAX_WARNINGS: Final = 100

Found = tuple[tuple[LocalEndpoint, ...], tuple[ObjectWarning, ...]]


Stamp = tuple[int, int, int, int]  # inode, octets, times of change in ns
_NEVER: Final[Stamp] = (0, 0, 0, 0)  # read again at the next look


class _Status(NamedTuple):
    """The last valid content of one file, and the fault if it could not be read since."""

    stamp: Stamp
    endpoint: LocalEndpoint | None
    fault: str = ""


class EndpointFolder:
    """The folder; what cannot be read keeps its previous state last understood.

    Felix writes over a file in place, so a reader may find half of it.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, _Status] = {}

    def read(self) -> Found:
        """Return the contents of the files, in the order of their names; none without the folder."""
        return finish(self.read_in_slices())

    def read_in_slices(self) -> Slices[Found]:
        """Do as ``read``, in slices: a file that has not changed is not read again."""
        try:
            names = self._list()
        except (FileNotFoundError, NotADirectoryError):
            names = []
        except (OSError, TextError) as error:
            text = f"{error}; everything keeps its previous state"
            warning = ObjectWarning(str(self.folder), "", text)
            return tuple(filter(None, self._endpoints())), (warning,)
        known: dict[str, _Status] = {}
        for name in names:
            status = self._look(name)
            if status is not None:
                known[name] = status
            yield
        self._known = known
        warnings = [
            ObjectWarning(str(self.folder / name), "", status.fault)
            for name, status in known.items()
            if status.fault
        ]
        if len(warnings) > MAX_WARNINGS:
            more = f"and {len(warnings) - MAX_WARNINGS} more"
            warnings[MAX_WARNINGS:] = [ObjectWarning(str(self.folder), "", more)]
        return tuple(filter(None, self._endpoints())), tuple(warnings)

    def _endpoints(self) -> Iterator[LocalEndpoint | None]:
        return (status.endpoint for status in self._known.values())

    def _list(self) -> list[str]:
        names: list[str] = []
        with os.scandir(self.folder) as found:
            for entry in found:
                if len(names) >= MAX_FILES:
                    raise LimitError(
                        f"has more than {MAX_FILES} files; ignored the rest"
                    )
                if not entry.is_dir():
                    names.append(entry.name)
        return sorted(names)

    def _look(self, name: str) -> "_Status | None":
        """Return what a file tells now; ``None`` where it is gone."""
        path = self.folder / name
        known = self._known.get(name)
        try:
            found = path.stat()
            stamp = found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if known is not None and known.stamp == stamp:
                return known
            octets = read_octets(path, ENDPOINT_STATUS.octets)
            return _Status(stamp, parse_endpoint(octets))
        except FileNotFoundError:
            return None  # gone since it was listed
        except (EndpointError, TextError, OSError) as error:
            endpoint = None if known is None else known.endpoint
            text = "ignored" if endpoint is None else "keeps its previous state"
            return _Status(_NEVER, endpoint, f"{error}; {text}")


async def follow_endpoints(
    source: EndpointFolder, deliver: Callable[[Found], None]
) -> None:
    """Deliver what the folder holds, now and whenever it changed, for ever.

    Args:
        source: The folder; outlives this call, so that what it understood stays.
        deliver: Takes the workloads and what is wrong.
    """
    folder = source.folder
    watch = FolderWatch(str(folder), audit=AUDIT_INTERVAL, poll=POLL_INTERVAL)
    told: Found | None = None
    try:
        while True:
            watch.clear()
            watch.watch({_nearest(folder)})
            found = await in_turns(source.read_in_slices())
            if found != told:
                told = found
                deliver(found)
            await watch.wait()
            if not watch.is_polling:
                await asyncio.sleep(SETTLE)
    finally:
        watch.close()


def _nearest(folder: Path) -> Path:
    """Return the folder, or where it will be made."""
    return folder if folder.is_dir() else folder.parent

"""Felix' folder of endpoint statuses: local workloads that peer with their node."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from bgpd.calico.endpoints import EndpointError, LocalEndpoint, parse_endpoint
from bgpd.calico.warnings import ObjectWarning
from bgpd.datastore.folder_watch import FolderWatch

AUDIT_INTERVAL: Final = 30.0  # seconds; the folder may be made later than we are
POLL_INTERVAL: Final = 2.0  # seconds, without inotify
SETTLE: Final = 0.05  # seconds; files come in groups
FOLDER: Final = "endpoint-status"

Found = tuple[tuple[LocalEndpoint, ...], tuple[ObjectWarning, ...]]


class EndpointFolder:
    """The folder; what cannot be read stays as it was last understood.

    Felix writes over a file in place, so a reader may find half of it.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[Path, LocalEndpoint] = {}

    def read(self) -> Found:
        """Return what the files tell, in the order of their names; none without it."""
        try:
            files = sorted(path for path in self.folder.iterdir() if path.is_file())
        except (FileNotFoundError, NotADirectoryError):
            files = []
        except OSError as error:
            warning = ObjectWarning(
                str(self.folder), "", f"{error}; all stays as it was"
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
            found = source.read()
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

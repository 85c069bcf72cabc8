"""Whether this start is a restart: did the daemon run before, and on this very kernel?

Peers learn it from the R flag, and from the F flag of each family (RFC 4724 3). The evidence:

    the speaker          traces of an earlier run            restarted   F flag
    -------------------  ----------------------------------  ----------  ------------------
    forwards nothing     a mark                              yes         all families
                         none                                perhaps     all families
    has a kernel table   our routes in it                    yes         families with some
                         a mark of this boot and namespace   yes         all families
                         a mark of another one               yes         none
                         none: it never ran here             no          none

A speaker without a kernel table leaves no traces but the mark, and in a new container
not even that. To take a restart for a first start would cost its peers good routes; to take
a first start for a restart would leave them without any for a while. So without a mark it
tells what it knows at once, as at a first start, and keeps back End-of-RIB alone, by which
peers drop what they still have.

The mark is a small file beside the control socket, where a reboot removes it as a rule.
"""

import contextlib
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bgpd.texts.files import read_text
from bgpd.texts.limits import TextError
from bgpd.texts.state_files import make_folder, write_file
from rib.family import Family

SUFFIX: Final = ".ran"
_MARK_OCTETS: Final = 4096
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = "/proc/self/ns/net"
# Where a service manager hides the boot's name: no other run has this one, so that none counts as
# of the same boot.
_UNKNOWN_BOOT: Final = f"unknown-{os.urandom(8).hex()}"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Start:
    """The kind of this start.

    Attributes:
        is_restart: The daemon ran before.
        preserved: Families whose forwarding state survived.
        is_certain: Whether ``is_restart`` is known, and not only possible.
    """

    is_restart: bool
    preserved: frozenset[Family]
    is_certain: bool = True


class RunMarker:
    """The marker file: the daemon ran here.

    Args:
        control_path: Of the control socket; empty keeps no mark.
    """

    def __init__(self, control_path: str) -> None:
        self._path = Path(control_path).with_suffix(SUFFIX) if control_path else None

    def beside(self, suffix: str) -> Path | None:
        """Return another file in the same place; ``None`` where no mark is kept."""
        return None if self._path is None else self._path.with_suffix(suffix)

    def read(self) -> str:
        """Return where and when the marker was made; empty without one."""
        if self._path is None:
            return ""
        try:
            return read_text(self._path, _MARK_OCTETS, follows=False).strip()
        except (OSError, TextError):
            return ""

    def write(self) -> None:
        """Write the marker; the daemon can do without if that fails."""
        if self._path is None:
            return
        try:
            make_folder(self._path.parent)
            write_file(self._path, f"{this_kernel()}\n".encode())
        except OSError as error:
            _log.warning(
                "%(file)s: cannot write the restart marker: %(reason)s",
                {
                    "event": "file-not-written",
                    "file": self._path,
                    "reason": error,
                },
            )

    def remove(self) -> None:
        """Remove the marker: the next start counts as the first."""
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()


def this_kernel() -> str:
    """Return what changes with a reboot and with another network namespace."""
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except OSError:
        boot = _UNKNOWN_BOOT
    return f"{boot} {os.stat(_NAMESPACE).st_ino}"  # noqa: PTH116  # no path of a file


def evaluate(
    families: Iterable[Family],
    *,
    has_kernel: bool,
    found: frozenset[Family],
    mark: str,
    kernel: str,
) -> Start:
    """Return the kind of this start.

    Args:
        families: All there are.
        has_kernel: The speaker forwards, by the kernel's table.
        found: Families of which the kernel has our routes.
        mark: As read; empty if there is none.
        kernel: As ``this_kernel`` says.
    """
    if not has_kernel or (mark and mark == kernel):
        is_certain = has_kernel or bool(mark)
        return Start(
            is_restart=True, preserved=frozenset(families), is_certain=is_certain
        )
    return Start(is_restart=bool(found or mark), preserved=found)

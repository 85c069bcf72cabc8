"""Settings of what is recorded and reported, as the daemon uses them. Pure."""

from dataclasses import dataclass
from typing import Final

MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class MrtTableSettings:
    """Dumps of the tables.

    Attributes:
        folder: Where; empty for none.
        interval: Seconds from one to the next.
        compression: ``none``, ``gzip`` or ``bzip2``.
        max_files: So many are kept.
        max_octets: So many octets in all are kept.
    """

    folder: str = ""
    interval: int = 7200
    compression: str = "gzip"
    max_files: int = 24
    max_octets: int = 4096 * MIB


@dataclass(frozen=True, slots=True)
class MrtUpdateSettings:
    """Messages, and changes of state.

    Attributes:
        folder: Where; empty for none.
        interval: Seconds of a file.
        file_octets: Of the records of a file, at most.
        compression: ``none``, ``gzip`` or ``bzip2``.
        max_files: So many are kept.
        max_octets: So many octets in all are kept.
        peers: Names, addresses, groups or ranges; empty for all.
        has_sent: What we send, too.
    """

    folder: str = ""
    interval: int = 900
    file_octets: int = 256 * MIB
    compression: str = "gzip"
    max_files: int = 96
    max_octets: int = 1024 * MIB
    peers: tuple[str, ...] = ()
    has_sent: bool = False


@dataclass(frozen=True, slots=True)
class MrtSettings:
    """MRT files.

    Attributes:
        table: Dumps of the tables.
        updates: Messages.
    """

    table: MrtTableSettings = MrtTableSettings()
    updates: MrtUpdateSettings = MrtUpdateSettings()


@dataclass(frozen=True, slots=True)
class BmpCollectorSettings:
    """A program that gets BMP.

    Attributes:
        name: For people.
        address: Where it is.
        port: TCP port.
        monitor: ``pre-policy`` and ``loc-rib``, or one of them.
        statistics_interval: Seconds between reports; 0 for none.
    """

    name: str
    address: str
    port: int = 11019
    monitor: tuple[str, ...] = ("pre-policy", "loc-rib")
    statistics_interval: int = 60

    def __str__(self) -> str:
        """Return its name and place, for people."""
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.name} ({address}:{self.port})"


@dataclass(frozen=True, slots=True)
class BmpSettings:
    """BMP.

    Attributes:
        collectors: By name.
    """

    collectors: tuple[BmpCollectorSettings, ...] = ()

"""Sections of what is recorded and reported, and the settings they mean. Pure."""

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from bgpd.config.base import Section
from bgpd.config.evidence_settings import (
    MIB,
    BmpCollectorSettings,
    BmpSettings,
    MrtSettings,
    MrtTableSettings,
    MrtUpdateSettings,
)
from bgpd.config.fields import Address, Port, Seconds, Switch, Unit

_TABLE: Final = MrtTableSettings()
_UPDATES: Final = MrtUpdateSettings()


def _folder(text: str) -> str:
    if text and not text.startswith("/"):
        raise ValueError(f"expected an absolute path, found {text[:80]!r}")
    return text


Folder = Annotated[str, AfterValidator(_folder)]
FileTime = Annotated[int, Field(ge=10, le=7 * 86400), Unit("seconds")]
FileOctets = Annotated[int, Field(ge=MIB, le=1 << 50), Unit("octets")]
FileCount = Annotated[int, Field(ge=1, le=100_000)]
Compression = Annotated[
    Literal["none", "gzip", "bzip2"], Field(description="how files are compressed")
]


class MrtDumps(Section):
    """Dumps of the tables (TABLE_DUMP_V2), each a file of its own."""

    folder: Annotated[
        Folder,
        Field(
            description="folder for the files, which must exist; empty turns dumps off"
        ),
    ] = _TABLE.folder
    interval: Annotated[
        FileTime, Field(description="time from one dump to the next")
    ] = _TABLE.interval
    compression: Compression = "gzip"
    max_files: Annotated[
        FileCount, Field(description="files kept; the oldest are removed")
    ] = _TABLE.max_files
    max_octets: Annotated[
        FileOctets,
        Field(description="size of all files kept; the oldest are removed"),
    ] = _TABLE.max_octets


class MrtUpdates(Section):
    """Messages and changes of state of sessions (BGP4MP), as they happen."""

    folder: Annotated[
        Folder,
        Field(
            description="folder for the files, which must exist; empty turns records off"
        ),
    ] = _UPDATES.folder
    interval: Annotated[
        FileTime, Field(description="time after which the next file begins")
    ] = _UPDATES.interval
    file_octets: Annotated[
        FileOctets,
        Field(
            description="size of a file's records, before compression, after which the "
            "next file begins"
        ),
    ] = _UPDATES.file_octets
    compression: Compression = "gzip"
    max_files: Annotated[
        FileCount, Field(description="files kept; the oldest are removed")
    ] = _UPDATES.max_files
    max_octets: Annotated[
        FileOctets,
        Field(description="size of all files kept; the oldest are removed"),
    ] = _UPDATES.max_octets
    peers: Annotated[
        list[str],
        Field(
            description="names or addresses of peers, names of peer groups or ranges; "
            "without any, all peers are recorded"
        ),
    ] = []
    sent: Annotated[
        Switch, Field(description="record also what is sent to the peers")
    ] = _UPDATES.has_sent


class Mrt(Section):
    """MRT files (RFC 6396)."""

    table: MrtDumps = MrtDumps()
    updates: MrtUpdates = MrtUpdates()


def mrt_settings(config: Mrt) -> MrtSettings:
    """Return what a section means."""
    table, updates = config.table, config.updates
    return MrtSettings(
        MrtTableSettings(
            folder=table.folder,
            interval=table.interval,
            compression=table.compression,
            max_files=table.max_files,
            max_octets=table.max_octets,
        ),
        MrtUpdateSettings(
            folder=updates.folder,
            interval=updates.interval,
            file_octets=updates.file_octets,
            compression=updates.compression,
            max_files=updates.max_files,
            max_octets=updates.max_octets,
            peers=tuple(dict.fromkeys(updates.peers)),
            has_sent=updates.sent,
        ),
    )


class BmpCollector(Section):
    """A program that receives what peers send, and what the tables hold."""

    name: Annotated[str, Field(description="for the log and for status", min_length=1)]
    address: Annotated[Address, Field(description="where it listens")]
    port: Annotated[Port, Field(description="TCP port")] = 11019
    monitor: Annotated[
        list[Literal["pre-policy", "loc-rib"]],
        Field(
            description="`pre-policy`: UPDATEs as they came (Adj-RIB-In); `loc-rib`: best "
            "paths (RFC 9069)"
        ),
    ] = ["pre-policy", "loc-rib"]
    statistics_interval: Annotated[
        Seconds, Field(description="time between reports of figures; 0 for none")
    ] = 60


class Bmp(Section):
    """BMP (RFC 7854): this speaker connects to collectors, and reports what it sees."""

    collectors: Annotated[
        list[BmpCollector], Field(description="where to connect")
    ] = []

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [each.name for each in self.collectors]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two collectors are called {name!r}")
        return self


def bmp_settings(config: Bmp) -> BmpSettings:
    """Return what a section means."""
    return BmpSettings(
        tuple(
            BmpCollectorSettings(
                each.name,
                each.address,
                each.port,
                tuple(dict.fromkeys(each.monitor)),
                each.statistics_interval,
            )
            for each in sorted(config.collectors, key=lambda each: each.name)
        )
    )

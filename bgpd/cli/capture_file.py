"""A pcap file that can be read at any moment, also after an interruption or on a full disk."""

import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from bgpd.capture.ends import Ends
from bgpd.capture.pcap import FILE_HEADER, TcpStream
from bgpd.cli.layout import Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC


class CaptureFile:
    """What a capture is written to; whatever was there before is replaced.

    Args:
        file: ``-`` for standard output.

    Raises:
        OSError: It cannot be written.
    """

    def __init__(self, file: Path) -> None:
        self._is_output = str(file) == "-"
        self._descriptor = _output() if self._is_output else os.open(file, _NEW, 0o666)
        self._size = 0  # octets of whole records
        self._streams: dict[int, TcpStream] = {}
        self._write(FILE_HEADER)

    def add(self, row: Row) -> None:
        """Write what a row of the capture says.

        Raises:
            OSError: It cannot be written; what was written before is whole.
        """
        octets = self._records(row)
        if octets:
            self._write(octets)

    def _records(self, row: Row) -> bytes:
        number = row.get("connection")
        if number is None:
            return b""
        at_us = microseconds(row["time"])
        stream = self._streams.get(number)
        if stream is None:
            nowhere = "::" if ":" in row["address"] else "0.0.0.0"  # noqa: S104  # no socket
            ends = Ends(
                row["local_address"] or nowhere,
                row["local_port"],
                row["address"],
                row["remote_port"],
                row["is_outgoing"],
            )
            stream = self._streams[number] = TcpStream(ends, number)
        is_local = row["direction"] == "out"
        if row["event"] == "message":
            return stream.sent(at_us, bytes.fromhex(row["octets"]), is_local=is_local)
        if row["event"] == "closed":
            del self._streams[number]
            return stream.closed(at_us, is_local=is_local)
        return stream.opened(at_us)

    def _write(self, octets: bytes) -> None:
        at = 0
        try:
            while at < len(octets):
                at += os.write(self._descriptor, octets[at:])
        except OSError:
            # Readers reject a file that ends inside a record.
            if not self._is_output:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(octets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        if not self._is_output:
            os.close(self._descriptor)


def _output() -> int:
    return sys.stdout.fileno()


def microseconds(moment: str) -> int:
    """Return a moment of the API as microseconds since the epoch."""
    since = datetime.fromisoformat(moment) - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds

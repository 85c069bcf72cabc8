"""Collectors of BMP: a socket that keeps what comes, and tshark, which says what it is."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

needs_tshark = pytest.mark.skipif(
    any(shutil.which(each) is None for each in ("tshark", "text2pcap")),
    reason="tshark is not installed",
)


class Sink:
    """Listens, and keeps the octets of each connection."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.port = 0
        self.streams: list[bytearray] = []
        self.reads = True
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> None:
        self._server = await asyncio.start_server(
            self._take, self.address, self.port, limit=4096
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _take(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._writers.append(writer)
        stream = bytearray()
        self.streams.append(stream)
        while self.reads and (octets := await reader.read(65536)):
            stream += octets

    def reset(self) -> None:
        """Break all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self.reset()
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)

    def messages(self, number: int = -1) -> list[tuple[int, bytes]]:
        """Return types and bodies of what came whole on a connection."""
        if not self.streams:
            return []
        octets, found, at = bytes(self.streams[number]), [], 0
        while at + 6 <= len(octets):
            assert octets[at] == 3
            end = at + int.from_bytes(octets[at + 1 : at + 5], "big")
            if end > len(octets):
                break
            found.append((octets[at + 5], octets[at + 6 : end]))
            at = end
        return found


def dissected(octets: bytes, folder: Path) -> list[int]:
    """Return the types of messages that tshark finds in a stream; none may be malformed."""
    dump, pcap = folder / "stream.txt", folder / "stream.pcap"
    lines, size = [], 1400
    for start in range(0, len(octets), size):
        piece = octets[start : start + size]
        lines.append(f"000000 {piece.hex(' ')}\n")
    dump.write_text("".join(lines))
    command = ["text2pcap", "-q", "-T", "40000,11019", str(dump), str(pcap)]
    subprocess.run(command, check=True, capture_output=True)
    command = ["tshark", "-r", str(pcap), "-d", "tcp.port==11019,bmp", "-T", "fields"]
    command += ["-e", "bmp.type", "-e", "_ws.malformed", "-E", "separator=;"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    kinds: list[int] = []
    for line in done.stdout.splitlines():
        types, _, malformed = line.partition(";")
        assert not malformed, line
        kinds += [int(each) for each in types.split(",") if each]
    return kinds

"""A relay on loopback that counts what passes through it: one port for each reader.

``python -m tests.bench.kubernetes.relay TARGET COUNT`` prints its ports, then answers each line of
its input: ``counts``, ``cut`` (ends all connections and takes none), ``mend``. TLS passes
through, so the octets are those of the wire.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

_PIECE: Final = 1 << 16  # octets
_HOST: Final = "127.0.0.1"


@dataclass
class Counts:
    """What passed one port.

    Attributes:
        connections: That were opened.
        received: Octets from the server to the reader.
        sent: Octets from the reader to the server.
    """

    connections: int = 0
    received: int = 0
    sent: int = 0


class Relay:
    """Takes connections for a server.

    Args:
        target: Port of the server.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._relaying: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self.counts: list[Counts] = []

    async def listen(self) -> int:
        """Open one port more; return it."""
        counts = Counts()
        self.counts.append(counts)

        async def take(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            task = asyncio.ensure_future(self._relay(counts, reader, writer))
            self._relaying.add(task)
            task.add_done_callback(self._relaying.discard)
            await task

        server = await asyncio.start_server(take, _HOST, 0)
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def cut(self) -> None:
        """End all connections; take no new ones."""
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        """Take connections again."""
        self._is_cut = False

    async def close(self) -> None:
        """Take no connections any more, and wait for the end of those there are."""
        for server in self._servers:
            server.close()
        self.cut()
        await asyncio.gather(*self._relaying, return_exceptions=True)

    async def _relay(
        self, counts: Counts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        counts.connections += 1
        try:
            to_reader, to_server = await asyncio.open_connection(_HOST, self._target)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, to_server}
        self._open |= both

        async def down() -> None:
            while piece := await to_reader.read(_PIECE):
                counts.received += len(piece)
                writer.write(piece)
                await writer.drain()

        async def up() -> None:
            while piece := await reader.read(_PIECE):
                counts.sent += len(piece)
                to_server.write(piece)
                await to_server.drain()

        tasks = [asyncio.create_task(each) for each in (down(), up())]
        with suppress(OSError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for each in both:
            each.close()
            with suppress(OSError):
                await each.wait_closed()
        self._open -= both


async def _serve(target: int, count: int) -> None:
    relay = Relay(target)
    ports = [await relay.listen() for _ in range(count)]
    _answer(ports)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        word = line.strip()
        if word == "cut":
            relay.cut()
        elif word == "mend":
            relay.mend()
        _answer([asdict(each) for each in relay.counts])


def _answer(content: object) -> None:
    sys.stdout.write(json.dumps(content) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))

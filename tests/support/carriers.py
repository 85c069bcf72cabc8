"""Carries TCP connections out of a namespace: ``python -m tests.support.carriers NETNS PORT...``

It listens on loopback in the namespace in which it is started, and connects to the same ports in
another one, so that servers on a machine's loopback can be reached from within.
"""

import asyncio
import ctypes
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@contextmanager
def carried(enter: tuple[str, ...], *ports: int) -> Iterator[None]:
    """Make ports of this namespace's loopback reachable in another one."""
    own = f"/proc/{os.getpid()}/ns/net"
    command = [sys.executable, "-m", "tests.support.carriers", own, *map(str, ports)]
    process = subprocess.Popen([*enter, *command], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while octets := await reader.read(1 << 16):
            writer.write(octets)
            await writer.drain()
    writer.close()


async def _serve(listener: socket.socket, port: int) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))

    server = await asyncio.start_server(carry, sock=listener)
    await server.serve_forever()


async def _main(namespace: str, ports: list[int]) -> None:
    listeners = [socket.create_server(("127.0.0.1", port)) for port in ports]
    descriptor = os.open(namespace, os.O_RDONLY)
    if _LIBC.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.gather(*map(_serve, listeners, ports))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], [int(each) for each in sys.argv[2:]]))

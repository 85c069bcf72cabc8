"""One attempt to connect, to the very address that is given, on any event loop."""

import asyncio
import os
import socket
from errno import EINPROGRESS
from typing import Any

from bgpd.net.network import Socket


async def connect(
    loop: asyncio.AbstractEventLoop, sock: Socket, where: tuple[Any, ...]
) -> None:
    """Connect a socket that does not block.

    The loops' own ``sock_connect`` resolves what needs no resolving, and uvloop's (0.23)
    loses the zone of a link-local address on the way.

    Args:
        loop: Tells when the attempt has ended.
        sock: Not blocking.
        where: As ``socket.connect`` takes it.

    Raises:
        OSError: The attempt failed.
    """
    error = sock.connect_ex(where)
    if error == EINPROGRESS:
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_writer(sock, _end, ended)
        try:
            await ended
        finally:
            loop.remove_writer(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _end(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)

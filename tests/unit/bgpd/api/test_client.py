"""The blocking client of the API."""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bgpd.api.client import UnreachableError, call
from bgpd.api.protocol import ControlError
from tests.support.api_places import ApiPlace


def rows_of(arguments):
    return ({"prefix": str(number)} for number in range(arguments.get("limit", 3)))


def refuse(arguments):
    raise ControlError("no-such-peer", f"there is no peer {arguments['peer']!r}", "ab")


async def echo(arguments):
    return {"lines": [arguments["peer"], arguments.get("text")]}


HANDLERS = {
    "show-status": lambda _: {"as": 42},
    "show-routes": rows_of,
    "show-peer": refuse,
    "disable-peer": echo,
}


def beside(path: Path, talk: Callable[[], None]) -> None:
    """Run what blocks beside a server."""

    async def main() -> None:
        place = ApiPlace(path, HANDLERS)
        await place.start()
        await asyncio.to_thread(talk)
        await place.close()

    asyncio.run(main())


def test_it_yields_pieces_and_raises_the_daemons_errors(tmp_path):
    path = tmp_path / "sock"

    def talk():
        assert list(call(str(path), "show-status")) == [{"as": 42}]
        pieces: list[Any] = list(
            call(str(path), "show-routes", {"limit": 1000, "best": True})
        )
        assert len(pieces) > 1
        rows = [row for piece in pieces for row in piece]
        assert [row["prefix"] for row in rows] == [str(n) for n in range(1000)]
        for name in ("x", "a/b", "ä%eth0", ".."):
            with pytest.raises(ControlError) as told:
                list(call(str(path), "show-peer", {"peer": name}))
            assert (told.value.code, told.value.expected) == (
                "no-such-peer",
                ("a", "b"),
            )
            assert repr(name) in told.value.message
            given: Any = {"peer": name, "text": "grüße"}
            assert list(call(str(path), "disable-peer", given)) == [
                {"lines": [name, "grüße"]}
            ]
        with pytest.raises(ControlError, match="did you mean 'show-peer'"):
            list(call(str(path), "show-pear"))
        with pytest.raises(ControlError, match="no argument 'famly'"):
            list(call(str(path), "show-routes", {"famly": "ipv4"}))

    beside(path, talk)


def test_it_says_what_is_wrong_with_the_path(tmp_path):
    with pytest.raises(UnreachableError, match="no such socket"):
        list(call(str(tmp_path / "none"), "show-status"))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead"))
        with pytest.raises(UnreachableError, match="nothing listens"):
            list(call(str(tmp_path / "dead"), "show-status"))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\n"


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (b"", "closed the connection"),
        (b"220 smtp\r\n", "not pybgpd"),
        (b'{"id":null,"error":{"code":"bad-request"}}\n', "of another release"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>", "not pybgpd"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (HEAD, "closed the connection"),
        (HEAD + b"\r\n[]\n", "objects"),
        (HEAD + b"\r\nnonsense\n", "not pybgpd"),
        (HEAD + b"Content-Length: 9\r\n\r\n{}", "closed the connection"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\n{}", "closed the"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "not pybgpd"),
        (HEAD + b"Content-Length: 99999999999\r\n\r\n", "octets"),
        (HEAD + b"X: y\r\n" * 200, "too many headers"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "without an end"),
    ],
)  # fmt: skip
def test_it_is_not_fooled_by_others(tmp_path, answer, text):
    async def main():
        async def reply(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()
            await writer.wait_closed()

        path = str(tmp_path / "other")
        server = await asyncio.start_unix_server(reply, path)
        async with server:
            with pytest.raises(UnreachableError, match=text):
                await asyncio.to_thread(lambda: list(call(path, "show-status")))

    asyncio.run(main())


def test_it_does_not_wait_for_ever(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "silent"))
        silent.listen()
        with pytest.raises(UnreachableError, match="does not answer"):
            list(call(str(tmp_path / "silent"), "show-status", timeout=0.05))

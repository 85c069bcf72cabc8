"""Requests of every kind: what a client sends is what a command gets, and the rest gets an error."""

import asyncio
import contextlib
import json
from typing import Any
from urllib.parse import parse_qsl

from hypothesis import given, settings
from hypothesis import strategies as st

from bgpd.api.client import _request
from bgpd.api.commands import COMMANDS, TABLE
from bgpd.api.paths import Paths
from bgpd.api.protocol import (
    Argument,
    Command,
    ControlError,
    check,
    parse_query,
    problem,
)
from tests.support.api_places import ApiPlace

PATHS = Paths(TABLE, ())
TEXTS = st.text(st.characters(codec="utf-8"), max_size=40)
VALUES = {
    str: TEXTS,
    int: st.integers(-(10**17), 10**17),
    bool: st.booleans(),
    list: st.lists(TEXTS, max_size=4),
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def value_of(argument: Argument) -> st.SearchStrategy[Any]:
    if argument.choices:
        one = st.sampled_from(argument.choices)
        return st.lists(one, max_size=3) if argument.type is list else one
    if argument.minimum is not None:
        return st.integers(argument.minimum, 10**17)
    return VALUES[argument.type]


@st.composite
def requests(draw: st.DrawFn) -> tuple[Command, dict[str, Any]]:
    command = draw(st.sampled_from(TABLE))
    given: dict[str, Any] = {}
    for argument in command.arguments:
        if not argument.is_required and draw(st.booleans()):
            continue
        value = draw(value_of(argument))
        if argument in command.in_path:
            value = value or "x"  # a segment of a path is never empty
        if argument.is_required and value == []:
            value = ["x"]
        if value != []:  # an empty list is the same as none
            given[argument.name] = value
    return command, given


@given(requests())
def test_what_pybgpctl_sends_is_what_a_command_gets(
    asked: tuple[Command, dict[str, Any]],
) -> None:
    command, arguments = asked
    head, _, body = _request("/socket", command, dict(arguments)).partition(b"\r\n\r\n")
    method, target, _ = head.decode("ascii").splitlines()[0].split(" ")
    path, _, query = target.partition("?")
    found = PATHS.find(method, path)
    assert found.target is command
    pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
    given = parse_query(command, pairs) if method == "GET" else json.loads(body)
    assert check(command, given | dict(found.arguments)) == arguments


@given(st.sampled_from(TABLE), st.dictionaries(st.text(max_size=10), ANYTHING))
def test_any_other_arguments_are_an_error_that_can_be_written(
    command: Command, arguments: dict[str, Any]
) -> None:
    try:
        accepted = check(command, arguments)
    except ControlError as error:
        told = json.loads(json.dumps(problem(error)))
    else:
        told = {"status": 400, "message": "none"}
        assert accepted.keys() <= command.names
    assert told["status"] == 400
    assert told["message"]


@given(st.sampled_from(("GET", "HEAD", "POST", "PUT")), st.text(max_size=60))
def test_any_path_leads_to_a_command_or_an_error(method: str, path: str) -> None:
    try:
        target: object = PATHS.find(method, path).target
    except ControlError as error:
        target = json.loads(json.dumps(problem(error)))["status"]
    assert target in (400, 404, 405, *TABLE)


WORDS = st.sampled_from(
    [b"GET ", b"POST ", b"/api/v1/", b"status", b"routes?", b"limit=", b" HTTP/1.1",
     b"\r\n", b"\r\n\r\n", b"Host: x", b"Content-Length: 3", b"Transfer-Encoding: chunked",
     b"Expect: 100-continue", b"Upgrade: h2c", b"Connection: upgrade", b"Last-Event-ID: x",
     b"%", b"%2f", b"%00", b"..", b"{", b"}", b"0", b"-1", b"\0", b"*", b"CONNECT a:1",
     b"OPTIONS * HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]
)  # fmt: skip
OCTETS = st.lists(WORDS | st.binary(max_size=6), min_size=1, max_size=25).map(b"".join)


@settings(deadline=None, max_examples=25)
@given(st.lists(OCTETS, min_size=5, max_size=20))
def test_no_octets_at_all_break_the_server(sent: list[bytes]) -> None:
    faults: list[dict[str, Any]] = []

    async def send(place: ApiPlace, octets: bytes) -> None:
        reader, writer = await asyncio.open_connection(place.address, place.door.port)
        writer.write(octets)
        with contextlib.suppress(OSError):
            writer.write_eof()
            said = await reader.read()
            assert said == b"" or said.startswith(b"HTTP/1.")
            assert b" 500 " not in said.partition(b"\r\n")[0]
        writer.close()

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: faults.append(context)
        )
        handlers: dict[str, Any] = {name: lambda _: {"lines": []} for name in COMMANDS}
        place = ApiPlace("127.0.0.1", handlers)
        await place.start()
        async with asyncio.timeout(60):
            await asyncio.gather(*(send(place, octets) for octets in sent))
        await place.close()

    asyncio.run(main())
    assert faults == []

"""An address that cannot be served says why in words, not in those of the library."""

import asyncio
import socket
from typing import Any, cast

import pytest

from bgpd.daemon.doors import DoorError, Doors
from bgpd.runtime.loop_lag import LagMeter
from tests.support.speakers import own_network


def error_of(address: str, port: int) -> str:
    async def attempt() -> str:
        doors = Doors(cast("Any", None), cast("LagMeter", None))
        with pytest.raises(DoorError) as caught:
            doors.open_metrics(address, port)
        await doors.close()
        return str(caught.value)

    return asyncio.run(attempt())


def test_a_port_that_is_taken_is_another_programs() -> None:
    address = f"{own_network()}.1"
    with socket.socket() as holder:
        holder.bind((address, 0))
        holder.listen()
        port = holder.getsockname()[1]
        assert error_of(address, port) == (
            f"cannot serve metrics on {address} port {port}: another program listens there"
        )


def test_an_address_of_another_machine_is_named() -> None:
    assert error_of("192.0.2.1", 17937) == (
        "cannot serve metrics on 192.0.2.1 port 17937: no interface has the address yet"
    )

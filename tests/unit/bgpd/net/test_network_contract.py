"""What BGP needs of a network, of the kernel's and of the tests': each passes the same tests."""

import asyncio
import contextlib
import errno
import functools
import os
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from select import EPOLLIN, EPOLLOUT, POLLIN, POLLOUT
from typing import Any

import pytest

from bgpd.net.connecting import connect
from bgpd.net.key_rollover import sight_of
from bgpd.net.network import KERNEL, Network, Socket
from bgpd.net.sockets import (
    SocketError,
    listening_socket,
    make_socket,
    set_md5_key,
    set_ttl,
    start_listening,
)
from tests.support.links import OURS, Links
from tests.support.simnet import VirtualLoop, run_virtually
from tests.support.speakers import own_network, run_on, until

PORT = 17914
_MAC, _OTHER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
NO_LINGER = struct.pack("ii", 1, 0)


class World:
    """Two machines, A and B; one and the same where they are the kernel's."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.sim = loop.net if isinstance(loop, VirtualLoop) else None
        network = own_network() if self.sim is None else "127.0.0"
        self.a, self.b = f"{network}.1", f"{network}.2"
        if self.sim is not None:
            self.sim.host(self.a)
            self.sim.host(self.b)

    @contextmanager
    def inside(self, _: str) -> Iterator[None]:
        """Make sockets on the machine that has an address."""
        yield

    def at(self, addr: str) -> Network:
        return KERNEL if self.sim is None else self.sim.host(addr)

    def listen(self, addr: str, port: int = PORT) -> Socket:
        with self.inside(addr):
            made = listening_socket(addr, port, network=self.at(addr))
            start_listening(made, 16)
        return made

    def a_socket(self, addr: str) -> Socket:
        with self.inside(addr):
            made = make_socket(addr, self.at(addr))
            made.bind((addr, 0))
        return made

    async def call(self, sock: Socket, addr: str, port: int = PORT) -> Socket:
        await connect(asyncio.get_running_loop(), sock, (addr, port))
        return sock

    async def accept(self, listener: Socket) -> Socket:
        await until(lambda: self.is_ready(self.a, listener, POLLIN))
        made, _ = listener.accept()
        made.setblocking(False)
        return made

    def is_ready(self, addr: str, sock: Socket, events: int) -> bool:
        return self.at(addr).has_events(sock.fileno(), events)

    async def a_pair(self) -> tuple[Socket, Socket]:
        """Return the ends of a connection that B has made: A's and B's."""
        with self.listen(self.a) as listener:
            far = await self.call(self.a_socket(self.b), self.a)
            return await self.accept(listener), far

    async def read(self, sock: Socket, count: int) -> bytes:
        """Receive a number of octets."""
        octets = b""

        def has_all() -> bool:
            nonlocal octets
            try:
                octets += sock.recv(count - len(octets))
            except BlockingIOError:
                return False
            return len(octets) >= count

        await until(has_all)
        return octets

    async def is_sent_again(self, sock: Socket) -> None:
        """Wait until what was sent last is sent once more, since it was not acknowledged."""
        before = sight_of(sock)
        assert before.unacknowledged
        await until(lambda: sight_of(sock).sent > before.sent)
        assert sight_of(sock).unacknowledged


class Connections(World):
    """Two machines of the kernel's, and a link that can be lost."""

    def __init__(self, links: Links) -> None:
        super().__init__()
        self._links = links
        self.a, self.b = "10.99.0.1", "10.99.0.2"
        links.machine(OURS, "far")
        ours, theirs = (f"{self.a}/24",), (f"{self.b}/24",)
        links.join("far", "eth0", ours=ours, theirs=theirs)
        self.set_link(is_up=True)

    @contextmanager
    def inside(self, addr: str) -> Iterator[None]:
        with self._links.inside(OURS if addr == self.a else "far"):
            yield

    def set_link(self, *, is_up: bool) -> None:
        # A frame for another machine is dropped without a notice.
        if is_up:
            self._links.ip(OURS, f"link set eth0 address {_MAC}")
        else:
            self._links.ip(OURS, f"link set eth0 address {_OTHER_MAC}")


Test = Callable[[World], Coroutine[Any, Any, None]]


def on_both(test: Test, *marks: pytest.MarkDecorator) -> Callable[[str], None]:
    """Run a test on the kernel, with some marks, and on the simulated network."""

    @pytest.mark.parametrize(
        "network", [pytest.param("kernel", marks=marks), "simulated"]
    )
    @functools.wraps(test)
    def run(network: str) -> None:
        async def work() -> None:
            await test(World())

        if network == "kernel":
            run_on(asyncio.new_event_loop, work())
        else:
            run_virtually(work())

    del run.__wrapped__  # its parameter is another
    return run


def on_both_slowly(test: Test) -> Callable[[str], None]:
    """Run a test on both; the kernel's TCP waits for a while before it sends again."""
    return on_both(test, pytest.mark.slow)


@on_both
async def test_a_connection_is_made_and_both_ends_know_their_names(world) -> None:
    with world.listen(world.a) as listener:
        far = await world.call(world.a_socket(world.b), world.a)
        near = await world.accept(listener)
    assert near.getsockname()[:2] == far.getpeername()[:2] == (world.a, PORT)
    assert far.getsockname() == near.getpeername()
    assert near.getpeername()[0] == world.b
    for sock in (near, far):
        assert world.is_ready(world.a, sock, POLLOUT)
        assert not world.is_ready(world.a, sock, POLLIN)
    for sock in (near, far):
        sock.close()
        assert sock.fileno() == -1


@on_both
async def test_a_connection_to_a_port_without_a_listener_is_refused(world) -> None:
    with world.a_socket(world.b) as sock, pytest.raises(ConnectionRefusedError):
        await world.call(sock, world.a)
    world.listen(world.a).close()
    with world.a_socket(world.b) as sock, pytest.raises(ConnectionRefusedError):
        await world.call(sock, world.a)


@on_both
async def test_a_connection_that_waits_to_be_accepted_is_reset_when_listening_ends(
    world,
) -> None:
    listener = world.listen(world.a)
    far = await world.call(world.a_socket(world.b), world.a)
    await until(lambda: world.is_ready(world.a, listener, POLLIN))
    listener.close()
    await until(lambda: world.is_ready(world.b, far, POLLIN))
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    far.close()


@on_both
async def test_an_address_is_listened_on_once_and_must_be_there(world) -> None:
    with world.listen(world.a):
        with pytest.raises(SocketError, match="another program"):
            world.listen(world.a)
        world.listen(world.b).close()
    with pytest.raises(SocketError, match="no interface"):
        listening_socket("192.0.2.77", PORT, network=world.at(world.a))
    listening_socket(
        "192.0.2.77", PORT, is_free=True, network=world.at(world.a)
    ).close()


@on_both
async def test_octets_arrive_once_and_in_order_however_they_are_cut(world) -> None:
    if world.sim is not None:
        world.sim.most_octets = 7
    near, far = await world.a_pair()
    said = bytes(range(256)) * 8
    assert near.sendmsg([said[:5], b"", memoryview(said)[5:]]) == len(said)
    assert near.send(b"more") == 4
    near.close()
    assert await world.read(far, len(said) + 4) == said + b"more"
    await until(lambda: world.is_ready(world.b, far, POLLIN))
    assert far.recv(1) == b"", "the end of the stream"
    far.close()


@on_both
async def test_buffers_are_bounded_and_who_reads_makes_room(world) -> None:
    near, far = await world.a_pair()
    sent = 0
    while True:
        try:
            sent += near.send(bytes(1 << 16))
        except BlockingIOError:
            if world.is_ready(world.a, near, POLLOUT):
                continue  # the kernel moved some of it meanwhile
            break
        assert sent < 64 << 20
    assert not world.is_ready(world.a, near, POLLOUT)
    received = 0
    while not world.is_ready(world.a, near, POLLOUT):
        received += len(await world.read(far, 1))
        received += len(far.recv(sent))
    assert near.send(b"!") == 1
    assert (await world.read(far, sent - received + 1))[-1:] == b"!"
    near.close()
    far.close()


@on_both
async def test_a_reset_is_an_error_of_the_other_end_and_then_its_end(world) -> None:
    near, far = await world.a_pair()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
    far.close()
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    assert world.is_ready(world.a, near, POLLOUT)
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        near.getpeername()
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    assert near.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        near.send(b"no reader is left")
    near.close()


@on_both
async def test_closing_with_unread_data_resets(world) -> None:
    near, far = await world.a_pair()
    near.send(b"unread")
    await until(lambda: world.is_ready(world.b, far, POLLIN))
    far.close()
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    with pytest.raises(ConnectionResetError):
        near.recv(1)
    near.close()


@on_both
async def test_what_was_sent_before_a_reset_is_read_before_it(world) -> None:
    near, far = await world.a_pair()
    far.send(b"unread")
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    near.send(b"last words")
    near.close()
    assert await world.read(far, 10) == b"last words"
    await until(lambda: world.is_ready(world.b, far, POLLIN))
    with pytest.raises(ConnectionResetError):
        far.recv(1)
    far.close()


@on_both
async def test_data_for_a_closed_end_is_answered_by_a_reset(world) -> None:
    near, far = await world.a_pair()
    far.close()
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    assert near.recv(1) == b""
    assert near.send(b"a first time it is taken") > 0
    await until(lambda: _is_broken(near))
    near.close()


def _is_broken(sock: Socket) -> bool:
    try:
        sock.send(b".")
    except (BrokenPipeError, ConnectionResetError):
        return True
    return False


@on_both
async def test_readiness_names_what_is_ready_as_long_as_it_is(world) -> None:
    near, far = await world.a_pair()
    watch = world.at(world.a).readiness()
    watch.register(near.fileno(), EPOLLIN)
    with pytest.raises(FileExistsError):
        watch.register(near.fileno(), EPOLLIN)
    assert watch.poll(0, 16) == []
    watch.modify(near.fileno(), EPOLLIN | EPOLLOUT)
    assert watch.poll(0, 16) == [(near.fileno(), EPOLLOUT)]
    watch.modify(near.fileno(), EPOLLIN)
    far.send(b"ab")
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    for octet in (b"a", b"b"):
        assert watch.poll(0, 16) == [(near.fileno(), EPOLLIN)]
        assert near.recv(1) == octet
    assert watch.poll(0, 16) == []
    watch.unregister(near.fileno())
    far.send(b"c")
    await until(lambda: world.is_ready(world.a, near, POLLIN))
    assert watch.poll(0, 16) == []
    assert not watch.closed
    watch.close()
    assert watch.closed
    near.close()
    far.close()


@on_both
async def test_one_after_the_other_is_named_where_not_all_can_be(world) -> None:
    pairs = []
    with world.listen(world.a) as listener:
        for _ in range(3):
            far = await world.call(world.a_socket(world.b), world.a)
            pairs.append((await world.accept(listener), far))
    watch = world.at(world.a).readiness()
    for near, far in pairs:
        watch.register(near.fileno(), EPOLLIN)
        far.send(b"x")
        await until(lambda near=near: world.is_ready(world.a, near, POLLIN))  # type: ignore[misc]
    named = {watch.poll(0, 1)[0][0] for _ in range(3)}
    assert named == {near.fileno() for near, _ in pairs}
    for near, far in pairs:
        watch.unregister(near.fileno())
        near.close()
        far.close()
    watch.close()


@on_both
async def test_a_loop_is_woken_by_readiness(world) -> None:
    near, far = await world.a_pair()
    loop, watch = asyncio.get_running_loop(), world.at(world.a).readiness()
    watch.register(near.fileno(), EPOLLIN)
    woken = loop.create_future()

    def wake() -> None:
        loop.remove_reader(watch.fileno())
        woken.set_result(watch.poll(0, 16))

    loop.add_reader(watch.fileno(), wake)
    far.send(b"x")
    assert await woken == [(near.fileno(), EPOLLIN)]
    watch.close()
    near.close()
    far.close()


@on_both
async def test_keys_that_are_equal_let_a_connection_be_made(world) -> None:
    with world.listen(world.a) as listener, world.a_socket(world.b) as far:
        set_md5_key(listener, f"{world.b}", "secret", 24)
        set_md5_key(far, world.a, "secret")
        await world.call(far, world.a)
        near = await world.accept(listener)
        near.send(b"signed")
        assert await world.read(far, 6) == b"signed"
        near.close()


@on_both_slowly
async def test_a_peer_with_another_key_or_none_or_one_too_many_gets_no_answer(
    world,
) -> None:
    with contextlib.ExitStack() as stack:
        callers = []
        listener = stack.enter_context(world.listen(world.a))
        other = stack.enter_context(world.listen(world.a, PORT + 1))
        set_md5_key(listener, world.b, "secret")
        for port, key in ((PORT, "other"), (PORT, ""), (PORT + 1, "secret")):
            far = stack.enter_context(world.a_socket(world.b))
            if key:
                set_md5_key(far, world.a, key)
            assert far.connect_ex((world.a, port)) == errno.EINPROGRESS
            callers.append(far)
        await until(lambda: all(sight_of(far).sent >= 2 for far in callers))
        for far in callers:
            assert not world.is_ready(world.b, far, POLLOUT)
        for door in (listener, other):
            assert not world.is_ready(world.a, door, POLLIN)


@on_both_slowly
async def test_a_key_that_changes_on_one_side_holds_up_what_is_sent(world) -> None:
    with world.listen(world.a) as listener, world.a_socket(world.b) as far:
        set_md5_key(listener, world.b, "old")
        set_md5_key(far, world.a, "old")
        await world.call(far, world.a)
        with await world.accept(listener) as near:
            set_md5_key(far, world.a, "new")
            far.send(b"held up")
            await world.is_sent_again(far)
            assert not world.is_ready(world.a, near, POLLIN)
            set_md5_key(near, world.b, "new")
            assert await world.read(near, 7) == b"held up"


@on_both_slowly
async def test_ttl_security_drops_what_comes_from_afar(
    world,
) -> None:
    near, far = await world.a_pair()
    set_ttl(near, security_hops=1)
    far.send(b"from afar")
    await world.is_sent_again(far)
    assert not world.is_ready(world.a, near, POLLIN)
    set_ttl(far, security_hops=1)
    assert await world.read(near, 9) == b"from afar"
    near.close()
    far.close()


async def over_a_link_that_is_down(
    world: World, set_link: Callable[[bool], None]
) -> None:
    """What is sent waits, no error is raised, and it arrives when the link is up again."""
    near, far = await world.a_pair()
    set_link(False)
    far.send(b"held up")
    await world.is_sent_again(far)
    assert not world.is_ready(world.a, near, POLLIN)
    assert not world.is_ready(world.b, far, POLLIN)
    set_link(True)
    assert await world.read(near, 7) == b"held up"
    near.close()
    far.close()


def test_a_link_that_is_down_holds_up_what_is_sent_simulated() -> None:
    async def work() -> None:
        world = World()
        assert world.sim is not None
        net = world.sim

        def set_link(is_up: bool) -> None:  # noqa: FBT001
            (net.mend if is_up else net.cut)(world.a, world.b)

        await over_a_link_that_is_down(world, set_link)

    run_virtually(work())


@pytest.mark.root
def test_a_link_that_is_down_holds_up_what_is_sent_of_the_kernel() -> None:
    with Links() as links:

        async def work() -> None:
            world = Connections(links)
            await over_a_link_that_is_down(
                world, lambda is_up: world.set_link(is_up=is_up)
            )

        run_on(asyncio.new_event_loop, work())

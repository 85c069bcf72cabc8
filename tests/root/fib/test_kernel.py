import asyncio
import json
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import uvloop

from fib import FibError, Hop, RouteState, Target, TargetKind
from fib.kernel import KernelFib
from rib.family import IPV4_UNICAST, IPV6_UNICAST, Family
from rib.nlri import parse_address, parse_prefix
from tests.support.kernel_namespace import ip, ip_batch, namespace

pytestmark = [pytest.mark.root, pytest.mark.slow]

ROOT = Path(__file__).parents[3]


def nlri(text: str) -> bytes:
    return parse_prefix(text)[1]


def via(*gateways: str, metric: int = 0, source: str = "") -> Target:
    return Target(
        hops=tuple(Hop(parse_address(g)) for g in gateways),
        metric=metric,
        preferred_source=parse_address(source) if source else b"",
    )


A, B, OTHER = via("10.9.0.2"), via("10.9.0.3"), via("10.9.1.2")
BLACKHOLE = Target(TargetKind.BLACKHOLE)


@pytest.fixture
def _namespace() -> Iterator[None]:
    with namespace():
        yield


pytestmark.append(pytest.mark.usefixtures("_namespace"))


@pytest.fixture(params=["auto", "off"])
def objects(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def shown(options: str = "proto bird", version: int = 4) -> list[str]:
    lines = ip(f"-{version} route show {options}").splitlines()
    return sorted(" ".join(line.split()) for line in lines)


def destinations(options: str = "proto bird", version: int = 4) -> set[str]:
    return {
        route["dst"]
        for route in json.loads(ip(f"-{version} -j route show {options}") or "[]")
    }


async def eventually(claim: Callable[[], bool], seconds: float = 5) -> None:
    for _ in range(int(seconds / 0.02)):
        if claim():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {claim}")


def play(
    story: Callable[[KernelFib], Awaitable[None]],
    *,
    objects: str = "auto",
    is_adopting: bool = False,
    flush: bool = False,
    receive_buffer: int = 1 << 24,
    use_uvloop: bool = False,
) -> None:
    async def scene() -> None:
        fib = await KernelFib.start(
            next_hop_objects="auto" if objects == "auto" else "off",
            receive_buffer=receive_buffer,
        )
        if not is_adopting:
            fib.adoption_done(IPV4_UNICAST)
            fib.adoption_done(IPV6_UNICAST)
        try:
            async with asyncio.timeout(30):
                await story(fib)
        finally:
            await fib.close(flush=flush)

    factory = uvloop.new_event_loop if use_uvloop else None
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(scene())


async def put(
    fib: KernelFib, target: Target | None, *prefixes: str, family: Family = IPV4_UNICAST
) -> None:
    fib.submit(family, [nlri(p) for p in prefixes], target)
    await fib.wait_until_synced()


@pytest.mark.parametrize("use_uvloop", [False, True])
def test_routes_stand_in_the_table_and_go_again(
    objects: str, *, use_uvloop: bool
) -> None:
    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26", "20.0.0.64/26", "0.0.0.0/0")
        assert destinations() == {"20.0.0.0/26", "20.0.0.64/26", "default"}
        assert all("via 10.9.0.2 dev v0" in line for line in shown())
        await put(fib, None, "20.0.0.0/26")
        assert destinations() == {"20.0.0.64/26", "default"}
        await put(fib, OTHER, "20.0.0.64/26")
        assert "via 10.9.1.2 dev v1" in shown("20.0.0.64/26")[0]
        assert fib.counts.installed == 2
        assert not fib.errors(IPV4_UNICAST)

    play(story, objects=objects, flush=True, use_uvloop=use_uvloop)
    assert shown() == []
    assert ip("nexthop") == ""


def test_ecmp_weights_blackhole_metric_and_source(objects: str) -> None:
    async def story(fib: KernelFib) -> None:
        two = Target(
            hops=(
                Hop(parse_address("10.9.0.2"), weight=3),
                Hop(parse_address("10.9.1.2"), "v1"),
            )
        )
        await put(fib, two, "20.0.0.0/26")
        await put(fib, BLACKHOLE, "20.0.1.0/26")
        await put(fib, Target(TargetKind.UNREACHABLE), "20.0.2.0/26")
        await put(fib, via("10.9.0.2", metric=77, source="10.9.1.1"), "20.0.3.0/26")
        await put(fib, Target(hops=(Hop(interface="v1"),)), "20.0.4.0/26")
        onlink = Hop(parse_address("198.51.100.1"), "v0", is_onlink=True)
        await put(fib, Target(hops=(onlink,)), "20.0.5.0/26")
        assert fib.errors(IPV4_UNICAST) == {}
        (ecmp,) = json.loads(ip("-j route show 20.0.0.0/26"))
        hops = {(h["gateway"], h["dev"], h["weight"]) for h in ecmp["nexthops"]}
        assert hops == {("10.9.0.2", "v0", 3), ("10.9.1.2", "v1", 1)}
        assert shown("20.0.1.0/26")[0].startswith("blackhole")
        assert shown("20.0.2.0/26")[0].startswith("unreachable")
        assert "src 10.9.1.1 metric 77" in shown("20.0.3.0/26")[0]
        assert "dev v1" in shown("20.0.4.0/26")[0]
        assert "198.51.100.1 dev v0" in shown("20.0.5.0/26")[0]
        # Another metric is another route to the kernel: exactly one may be left.
        await put(fib, via("10.9.0.2", metric=50), "20.0.3.0/26")
        assert len(shown("20.0.3.0/26")) == 1

    play(story, objects=objects, flush=True)
    assert shown() == []


def test_ipv6_and_ipv4_over_ipv6(objects: str) -> None:
    async def story(fib: KernelFib) -> None:
        six, two = via("fd09:0::2"), via("fd09:0::2", "fd09:1::2")
        await put(fib, six, "fd20::/122", family=IPV6_UNICAST)
        await put(fib, two, "fd20:1::/64", family=IPV6_UNICAST)
        await put(fib, BLACKHOLE, "fd20:2::/64", family=IPV6_UNICAST)
        link_local = Target(hops=(Hop(parse_address("fe80::99"), "v1"),))
        await put(fib, link_local, "fd20:3::/64", family=IPV6_UNICAST)
        await put(fib, six, "20.0.0.0/26")
        assert fib.errors(IPV4_UNICAST) == fib.errors(IPV6_UNICAST) == {}
        assert len(destinations(version=6)) == 4
        assert "via inet6 fd09::2 dev v0" in shown("20.0.0.0/26")[0]
        await put(fib, six, "fd20:1::/64", "fd20:2::/64", family=IPV6_UNICAST)
        assert len(shown(version=6)) == 4
        assert fib.counts.failed == 0

    play(story, objects=objects, flush=True)
    assert shown(version=6) == []


def test_retarget_moves_all_routes_at_once(objects: str) -> None:
    prefixes = [f"20.0.{n}.0/24" for n in range(200)]

    async def story(fib: KernelFib) -> None:
        await put(fib, A, *prefixes)
        await put(fib, B, "21.0.0.0/24")
        written = fib.counts.written
        fib.retarget(IPV4_UNICAST, A, B)
        await fib.wait_until_synced()
        assert all("via 10.9.0.3" in line for line in shown())
        assert len(shown()) == 201
        if objects == "auto":
            assert fib.counts.written == written
        fib.retarget(IPV4_UNICAST, B, via("10.9.0.2", "10.9.1.2"))  # another shape
        await fib.wait_until_synced()
        assert ip("route show proto bird").count("nexthop via 10.9.1.2") == 201
        written = fib.counts.written
        fib.retarget(IPV4_UNICAST, via("10.9.0.2", "10.9.1.2"), A)  # a group shrinks
        await fib.wait_until_synced()
        assert all("via 10.9.0.2" in line for line in shown())
        if objects == "auto":
            assert fib.counts.written == written
        await put(fib, A, *prefixes, "21.0.0.0/24")
        assert fib.counts.written == written or objects == "off"
        await put(fib, B, *prefixes)
        assert sum("via 10.9.0.3" in line for line in shown()) == 200
        assert {r.state for r in fib.routes(IPV4_UNICAST)} == {RouteState.INSTALLED}

    play(story, objects=objects)


def test_alien_routes_are_left_alone_and_replaced_when_they_go(objects: str) -> None:
    ip("route add 20.0.0.0/26 via 10.9.1.9 proto static")
    ip("route add 20.0.9.0/26 via 10.9.1.9 proto static")
    ip("-6 route add fd20::/64 via fd09:1::9 proto static")

    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26", "20.0.1.0/26")
        await put(fib, via("fd09:0::2"), "fd20::/64", family=IPV6_UNICAST)
        assert destinations() == {"20.0.1.0/26"}
        assert fib.counts.conflicts == 2
        states = {r.nlri: r.state for r in fib.routes(IPV4_UNICAST)}
        assert states[nlri("20.0.0.0/26")] is RouteState.CONFLICT
        ip("route del 20.0.0.0/26 proto static")
        ip("-6 route del fd20::/64 proto static")
        await eventually(lambda: fib.counts.conflicts == 0 and fib.is_synced)
        assert destinations() == {"20.0.0.0/26", "20.0.1.0/26"}
        # An operator replaces our route: theirs stays, ours comes back after it.
        ip("route replace 20.0.1.0/26 via 10.9.1.9 proto static")
        await eventually(lambda: fib.counts.conflicts == 1 and fib.is_synced)
        assert "proto static" in shown("20.0.1.0/26")[0]

    play(story, objects=objects, flush=True)
    assert destinations("proto static") == {"20.0.1.0/26", "20.0.9.0/26"}


def test_drift_is_counted_and_repaired(objects: str) -> None:
    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26", "20.0.1.0/26")
        ip("route del 20.0.0.0/26")
        await eventually(lambda: fib.counts.repairs == 1 and fib.is_synced)
        ip("route replace 20.0.1.0/26 via 10.9.1.9 proto bird")
        ip("route add 20.0.7.0/26 via 10.9.1.9 proto bird")
        await eventually(lambda: fib.counts.drifts == 2)
        await eventually(lambda: destinations() == {"20.0.0.0/26", "20.0.1.0/26"})
        assert all("via 10.9.0.2" in line for line in shown())

    play(story, objects=objects)


def repaired(fib: KernelFib, times: int) -> bool:
    return fib.counts.repairs == times and fib.is_synced


def test_a_fight_over_a_prefix_slows_down() -> None:
    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26")
        for times in (1, 2):
            ip("route del 20.0.0.0/26")
            await eventually(partial(repaired, fib, times))
        ip("route del 20.0.0.0/26")
        await eventually(lambda: fib.counts.drifts == 3)
        await asyncio.sleep(0.3)
        assert destinations() == set()
        await eventually(lambda: destinations() == {"20.0.0.0/26"})

    play(story)


def test_a_link_that_flaps_gets_its_routes_back(objects: str) -> None:
    both = via("10.9.0.2", "10.9.1.2")
    six = via("fd09:1::2")

    async def story(fib: KernelFib) -> None:
        await put(fib, OTHER, "20.0.0.0/26", "20.0.1.0/26")
        await put(fib, both, "20.0.2.0/26")
        await put(fib, six, "fd20::/64", family=IPV6_UNICAST)
        ip("link set v1 down")
        await eventually(lambda: fib.counts.failed == 3 and fib.is_synced)
        assert destinations() == {"20.0.2.0/26"}
        assert set(fib.errors(IPV4_UNICAST)) == {
            nlri("20.0.0.0/26"),
            nlri("20.0.1.0/26"),
        }
        ip("link set v1 up")
        ip("-6 address replace fd09:1::1/64 dev v1 nodad")
        await eventually(lambda: fib.counts.failed == 0 and fib.is_synced)
        assert destinations() == {"20.0.0.0/26", "20.0.1.0/26", "20.0.2.0/26"}
        assert ip("route show 20.0.2.0/26").count("nexthop") == 2
        assert destinations(version=6) == {"fd20::/64"}

    play(story, objects=objects)


def test_carrier_loss_and_a_deleted_device() -> None:
    async def story(fib: KernelFib) -> None:
        await put(fib, OTHER, "20.0.0.0/26")
        ip("link set p1 down")
        await eventually(lambda: fib.counts.failed == 1)
        ip("link set p1 up")
        await eventually(lambda: fib.counts.failed == 0 and fib.is_synced)
        assert destinations() == {"20.0.0.0/26"}
        ip("link delete v1")
        await eventually(lambda: fib.counts.failed == 1)
        ip("link add v1 type veth peer name p1")
        ip("address add 10.9.1.1/24 dev v1")
        ip("link set p1 up")
        ip("link set v1 up")
        await eventually(lambda: fib.counts.failed == 0 and fib.is_synced)
        assert destinations() == {"20.0.0.0/26"}

    play(story)


def test_a_deleted_next_hop_object_is_made_again() -> None:
    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26", "20.0.1.0/26")
        ip("nexthop flush proto 12")
        await eventually(lambda: len(destinations()) == 2)
        await eventually(lambda: fib.is_synced)
        assert fib.counts.failed == 0

    play(story)


def test_errors_are_reported_per_prefix(objects: str) -> None:
    async def story(fib: KernelFib) -> None:
        far = via("192.0.2.77")
        await put(fib, A, "20.0.0.0/26")
        await put(fib, far, "20.0.1.0/26")
        await put(fib, Target(hops=(Hop(interface="nosuch"),)), "20.0.2.0/26")
        await put(fib, via("10.9.0.2", source="203.0.113.9"), "20.0.3.0/26")
        faults = fib.errors(IPV4_UNICAST)
        assert set(faults) == {nlri(f"20.0.{n}.0/26") for n in (1, 2, 3)}
        assert "not directly connected" in faults[nlri("20.0.1.0/26")].text
        assert "nosuch" in faults[nlri("20.0.2.0/26")].text
        assert destinations() == {"20.0.0.0/26"}
        # What cannot be written must not leave its predecessor in place.
        await put(fib, far, "20.0.0.0/26")
        assert destinations() == set()
        ip("address add 192.0.2.1/24 dev v0")
        await eventually(lambda: fib.counts.failed == 2 and fib.is_synced)
        assert destinations() == {"20.0.0.0/26", "20.0.1.0/26"}

    play(story, objects=objects)


def test_lost_notifications_lead_to_a_comparison() -> None:
    prefixes = [f"20.{n // 200}.{n % 200}.0/24" for n in range(2000)]

    async def story(fib: KernelFib) -> None:
        await put(fib, A, *prefixes)
        # The loop stands still meanwhile.
        ip_batch(f"route del {prefix}" for prefix in prefixes)
        assert len(destinations()) == 0
        await eventually(lambda: fib.counts.overflows > 0, 10)
        await eventually(lambda: fib.is_synced and len(destinations()) == 2000, 10)
        assert fib.counts.failed == 0

    play(story, receive_buffer=4096)


LEFT_OVER = textwrap.dedent("""
    import asyncio, sys
    from fib import Hop, Target
    from fib.kernel import KernelFib
    from rib.family import IPV4_UNICAST

    async def main():
        fib = await KernelFib.start(next_hop_objects=sys.argv[1])
        hop = Hop(bytes([10, 9, 0, 2]))
        nlris = [bytes([24, 20, 0, n]) for n in range(100)]
        fib.submit(IPV4_UNICAST, nlris, Target(hops=(hop,)))
        await fib.wait_until_synced()
        print("ready", flush=True)
        await asyncio.sleep(60)

    asyncio.run(main())
""")


def test_what_a_killed_process_left_is_adopted_then_swept(objects: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LEFT_OVER, objects],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGKILL)
    assert len(shown()) == 100

    async def story(fib: KernelFib) -> None:
        assert fib.counts.stale == 100
        await put(fib, A, *(f"20.0.{n}.0/24" for n in range(60)))
        assert fib.counts.written == 0  # identical ones are not rewritten
        await put(fib, B, "20.0.60.0/24")
        assert len(shown()) == 100
        fib.adoption_done(IPV4_UNICAST)
        fib.adoption_done(IPV6_UNICAST)
        await fib.wait_until_synced()
        assert len(shown()) == 61
        fib.retarget(IPV4_UNICAST, A, OTHER)
        await fib.wait_until_synced()
        assert ip("route show proto bird").count("via 10.9.1.2") == 60

    play(story, is_adopting=True, flush=True)
    assert shown() == []
    assert ip("nexthop") == ""


def test_leftovers_of_bird_are_adopted_without_writing() -> None:
    ip("route add 20.0.0.0/26 via 10.9.0.2 proto bird")
    ip("route add blackhole 20.0.1.0/26 proto bird")
    ip("route add 20.0.2.0/26 via 10.9.0.2 proto bird metric 9")

    async def story(fib: KernelFib) -> None:
        await put(fib, A, "20.0.0.0/26", "20.0.2.0/26")
        await put(fib, BLACKHOLE, "20.0.1.0/26")
        assert fib.counts.written == 2  # only the one with another metric
        fib.adoption_done(IPV4_UNICAST)
        fib.adoption_done(IPV6_UNICAST)
        await fib.wait_until_synced()
        assert len(shown()) == 3
        fib.retarget(IPV4_UNICAST, A, B)
        await fib.wait_until_synced()
        assert ip("route show proto bird").count("via 10.9.0.3") == 2

    play(story, is_adopting=True)


def test_other_table_and_protocol() -> None:
    ip("route add 20.0.0.0/26 via 10.9.0.9 proto bird")

    async def scene() -> None:
        fib = await KernelFib.start(table=1000, protocol=99)
        fib.adoption_done(IPV4_UNICAST)
        fib.submit(IPV4_UNICAST, [nlri("20.0.0.0/26")], A)
        await fib.wait_until_synced()
        assert "via 10.9.0.2" in ip("route show table 1000 proto 99")
        await fib.close(flush=True)

    asyncio.run(scene())
    assert ip("route show table 1000").strip() == ""
    assert destinations() == {"20.0.0.0/26"}


def test_without_the_capability_the_error_names_the_way_out() -> None:
    code = textwrap.dedent("""
        import asyncio
        from fib import FibError
        from fib.kernel import KernelFib
        try:
            asyncio.run(KernelFib.start())
        except FibError as error:
            print(error)
    """)
    drop = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    told = subprocess.run(
        [*drop, sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert "CAP_NET_ADMIN" in told.stdout
    assert "--fib off" in told.stdout
    assert issubclass(FibError, Exception)

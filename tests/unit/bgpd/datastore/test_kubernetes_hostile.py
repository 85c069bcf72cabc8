"""An API server that answers anything at all costs nothing but what it withholds."""

import asyncio
import gzip
import json
import random
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgpd.calico.keys import affinity_key, resource_key
from bgpd.calico.kubernetes_objects import GROUP_V1
from bgpd.datastore.kubernetes import Access, KubernetesDatastore
from tests.support.calico_cases import a_node, an_object
from tests.support.datastores import Follower
from tests.support.hostile_api import (
    HostileApi,
    Misbehaviour,
    Request,
    answer,
    begin,
    chunk,
    event,
    pause,
)
from tests.support.kubernetes_objects import (
    block_affinity,
    custom_resource,
    kubernetes_node,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.asyncio,
    # A handshake that was cut is left to the garbage, at both ends.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning"
    ),
]

PLACE = "bgpd.datastore.kubernetes"
POOLS = "ippools"


def pool(name: str, cidr: str = "10.244.0.0/16", **spec: object):
    return custom_resource(an_object("IPPool", name, cidr=cidr, **spec), GROUP_V1)


OBJECTS = (
    kubernetes_node(a_node("n1", "10.0.0.1")),
    kubernetes_node(a_node("n2", "10.0.0.2")),
    pool("pool"),
    block_affinity("n1", "10.244.0.0/26", "confirmed", GROUP_V1),
)
BLOCK = affinity_key("n1", "10.244.0.0/26")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{PLACE}.collection.FIRST_DELAY", 0.02)
    monkeypatch.setattr(f"{PLACE}.collection.MAX_DELAY", 0.2)
    monkeypatch.setattr(f"{PLACE}.collection.ABSENT_DELAY", 0.1)
    monkeypatch.setattr(f"{PLACE}.following.DEPARTURE", 0.02)
    monkeypatch.setattr(f"{PLACE}.following.LINGER", 0.02)
    monkeypatch.setattr(f"{PLACE}.troubles.GATHER", 0.05)


@asynccontextmanager
async def followed(folder: Path) -> AsyncIterator[tuple[HostileApi, Follower]]:
    """Follow a server that is well, with a loop that is never held for long."""
    async with HostileApi(folder) as api:
        await api.put(*OBJECTS)
        access = Access(api.kubeconfig())
        source = KubernetesDatastore(access, "n1", api_group="v1")
        async with Follower(source) as follower:
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await follower.until(lambda _: api.watch_count == 8)
            yield api, follower


def in_trouble(follower: Follower, said: str) -> bool:
    return any(said in line for line in follower.datastore.status.warnings)


async def until_well(api: HostileApi, follower: Follower) -> None:
    """Let the server be well; what happens then is seen, and nothing was lost."""
    before = dict(follower.items)
    api.misbehave = None
    api.cut()
    await api.put(pool("later"))
    await follower.until(lambda seen: resource_key("IPPool", "later") in seen.items)
    await follower.until(lambda seen: seen.datastore.status.is_connected)
    assert before.items() <= follower.items.items()
    assert not any(getattr(each, "deletes", ()) for each in follower.events)


# -- answers that are none ----------------------------------------------------------------


def of_any(**how: object) -> Misbehaviour:
    """Answer every request alike."""

    async def misbehave(_: Request, writer: asyncio.StreamWriter) -> bool:
        await answer(writer, **how)  # type: ignore[arg-type]
        return True

    return misbehave


def raw(octets: bytes) -> Misbehaviour:
    """Send octets instead of an answer."""

    async def misbehave(_: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(octets)
        await writer.drain()
        raise EOFError

    return misbehave


STATUS = {
    "kind": "Status",
    "metadata": {"resourceVersion": "9"},
    "status": "Failure",
    "message": "the cache is not ready",
    "code": 500,
}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NO_ITEMS = {"kind": "NodeList", "metadata": {"resourceVersion": "9"}}

ANSWERS: dict[str, tuple[Misbehaviour, str]] = {
    "a page": (of_any(body=b"<html>It works</html>", kind="text/html"), "text/html; JSON"),
    "a page that says it is JSON": (of_any(body=b"<html>It works</html>"), "what came is not a list"),
    "a page of a balancer": (
        of_any(body=b"<html>", kind="text/html", status="502 Bad Gateway"),
        "502: Bad Gateway",
    ),
    "a redirect": (
        of_any(status="302 Found", headers="Location: https://elsewhere/login\r\n"),
        "redirected to https://elsewhere/login",
    ),
    "nothing": (of_any(), "not whole"),
    "half a JSON": (of_any(body=b'{"kind": "NodeList", "items": [{"metadata":'), "not whole"),
    "a cut answer": (raw(HEAD + b'Content-Length: 99\r\n\r\n{"it'), "https://127.0.0.1"),
    "a Status": (of_any(body=json.dumps(STATUS).encode()), "of kind Status"),
    "a list without items": (of_any(body=json.dumps(NO_ITEMS).encode()), "items are missing"),
    "an array": (of_any(body=b"[]"), "not a list"),
    "gzip": (
        of_any(body=gzip.compress(b" " * (64 << 20)), headers="Content-Encoding: gzip\r\n"),
        "encoded (gzip)",
    ),
    "another protocol": (raw(b"SSH-2.0-OpenSSH_9.2\r\n"), "https://127.0.0.1"),
    "an endless head": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (1 << 20)), "https://127.0.0.1"),
    "a wrong length": (raw(HEAD + b"Content-Length: x\r\n\r\n"), "https://127.0.0.1"),
    "a wrong chunk": (raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "https://127.0.0.1"),
    "an error of another shape": (of_any(body=b'"no"', status="418 Teapot"), "418: Teapot"),
    "an encoded refusal": (
        of_any(body=b"x", status="403 No", headers="Content-Encoding: br\r\n"),
        "encoded (br)",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("misbehave", "said"), ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_that_is_none_changes_nothing(
    tmp_path: Path, misbehave: Misbehaviour, said: str
) -> None:
    async with followed(tmp_path) as (api, follower):
        before, count = dict(follower.items), len(follower.events)
        api.misbehave = misbehave
        api.cut()
        await follower.until(lambda seen: in_trouble(seen, said))
        assert not follower.datastore.status.is_connected
        assert in_trouble(follower, f"https://127.0.0.1:{api.port}")
        assert in_trouble(follower, "what was read stays in force until")
        assert (follower.items, len(follower.events)) == (before, count)
        await until_well(api, follower)


@pytest.mark.parametrize("name", ["localhost.invalid", "127.0.0.1"])
async def test_a_certificate_that_is_wrong_is_named(tmp_path: Path, name: str) -> None:
    """A wrong name, and a certificate that another authority has signed."""
    other = tmp_path / "other"
    other.mkdir()
    how = "IP:127.0.0.1" if name == "127.0.0.1" else f"DNS:{name}"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"]
    command += ["-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=api"]
    command += ["-addext", f"subjectAltName={how}"]
    command += ["-keyout", str(other / "key.pem"), "-out", str(other / "cert.pem")]
    await asyncio.to_thread(subprocess.run, command, check=True, capture_output=True)
    async with followed(tmp_path) as (api, follower):
        before = dict(follower.items)
        ca = tmp_path / "cert.pem"
        trusted = ca.read_bytes()
        if name != "127.0.0.1":
            ca.write_bytes((other / "cert.pem").read_bytes())
        await api.close()
        await api.serve(other / "cert.pem", other / "key.pem")
        await follower.until(
            lambda seen: in_trouble(seen, "the API's certificate is not ")
        )
        signer = "signed by the CA of the credentials"
        wanted = signer if name == "127.0.0.1" else "valid for 127.0.0.1"
        await follower.until(lambda seen: in_trouble(seen, wanted))
        assert in_trouble(follower, f"https://127.0.0.1:{api.port}")
        assert follower.items == before
        await api.close()
        ca.write_bytes(trusted)
        await api.serve(ca, tmp_path / "key.pem")
        await until_well(api, follower)


# -- answers without an end ----------------------------------------------------------------


async def dribbled_head(_: Request, writer: asyncio.StreamWriter) -> bool:
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    return await dribbled(writer)


async def dribbled_list(_: Request, writer: asyncio.StreamWriter) -> bool:
    await begin(writer)
    await chunk(writer, b'{"kind": "NodeList", "items": [')
    while True:
        await chunk(writer, b" ")
        await pause()


async def dribbled_line(request: Request, writer: asyncio.StreamWriter) -> bool:
    if not request.is_watch:
        return False
    await begin(writer)
    while True:
        await chunk(writer, b"{")
        await pause()


async def dribbled(writer: asyncio.StreamWriter) -> bool:
    while True:
        writer.write(b"x")
        await writer.drain()
        await pause()


async def endless_list(_: Request, writer: asyncio.StreamWriter) -> bool:
    await begin(writer)
    await chunk(writer, b'{"kind": "NodeList", "items": [')
    number = 0
    while True:
        names = range(number, number + 500)
        text = ",".join(f'{{"metadata":{{"name":"x{name}"}}}}' for name in names)
        await chunk(writer, text.encode() + b",")
        number += 500


async def endless_object(_: Request, writer: asyncio.StreamWriter) -> bool:
    await begin(writer)
    await chunk(writer, b'{"kind": "NodeList", "items": [{"metadata": {"x": "')
    while True:
        await chunk(writer, b"\\\\" * 30_000)


async def endless_line(request: Request, writer: asyncio.StreamWriter) -> bool:
    if not request.is_watch:
        return False
    await begin(writer)
    while True:
        await chunk(writer, b'{"type": ' * 5000)


async def endless_events(request: Request, writer: asyncio.StreamWriter) -> bool:
    if not request.is_watch or request.plural != POOLS:
        return False
    await begin(writer)
    number = 0
    while True:
        number += 1
        made = pool(f"x{number}")
        made["metadata"]["resourceVersion"] = "9"
        await chunk(writer, event("ADDED", made) + b"\n")


@pytest.mark.parametrize(
    ("misbehave", "said"),
    [
        (dribbled_head, "no whole answer in time"),
        (dribbled_list, "no whole answer in time"),
        (dribbled_line, "no whole answer in time"),
        (endless_list, "there are over 2000 objects"),
        (endless_object, "a list has over 4194304 octets"),
        (endless_line, "no whole answer in time"),
        (endless_events, "there are over 2000 objects"),
    ],
)
async def test_an_answer_without_an_end_is_given_up(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    misbehave: Misbehaviour,
    said: str,
) -> None:
    async with followed(tmp_path) as (api, follower):
        before = dict(follower.items)
        monkeypatch.setattr(f"{PLACE}.client.HEAD_TIME", 0.4)
        if misbehave is dribbled_list:
            monkeypatch.setattr(f"{PLACE}.client.LIST_TIME", 0.4)
        monkeypatch.setattr(f"{PLACE}.client.GRACE", 0.4)
        if misbehave in (dribbled_line, endless_line):
            monkeypatch.setattr(f"{PLACE}.collection.WATCH_TIME", 1)
        monkeypatch.setattr(f"{PLACE}.client.LIST_OCTETS", 4 << 20)
        monkeypatch.setattr(f"{PLACE}.collection.MOST_OBJECTS", 2000)
        api.misbehave = misbehave
        api.cut()
        await follower.until(lambda seen: in_trouble(seen, said), 30)
        assert before.items() <= follower.items.items()
        assert len(follower.items) < 20_000
        monkeypatch.setattr(f"{PLACE}.collection.WATCH_TIME", 290)
        monkeypatch.setattr(f"{PLACE}.collection.SMALL", 10_000)
        api.misbehave = None
        api.cut()
        await api.put(pool("later"))
        # What was made up goes; what is there has never gone.
        wanted = {*before, resource_key("IPPool", "later")}
        await follower.until(lambda seen: seen.items.keys() == wanted, 30)


# -- events -------------------------------------------------------------------------------


def text_of(kind: str, name: str, spec: bytes) -> bytes:
    """Return an object whose spec is any text."""
    head = json.dumps(
        {"kind": kind, "metadata": {"name": name, "resourceVersion": "9"}}
    )
    return head[:-1].encode() + b', "spec": ' + spec + b"}"


LARGE = b'{"cidr": "' + b"x" * (3 << 20) + b'"}'
DEEP = b"[" * 2000 + b"]" * 2000
MANY = b"[" + b"0," * 200_000 + b"0]"


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (LARGE, "octets; the limit is 2097152"),
        (DEEP, "levels deep"),
        (MANY, "values; the limit is 60000"),
    ],
    ids=["large", "deep", "many"],
)
async def test_an_object_that_is_too_much_costs_itself_alone(
    tmp_path: Path, spec: bytes, said: str
) -> None:
    async with followed(tmp_path) as (api, follower):
        before = dict(follower.items)
        bad = text_of("IPPool", "pool", spec)
        await api.tell(POOLS, b'{"type": "MODIFIED", "object": ' + bad + b"}")
        await api.put(pool("after"))
        await follower.until(lambda seen: resource_key("IPPool", "after") in seen.items)
        assert in_trouble(follower, "IPPool pool: ")
        assert in_trouble(follower, said)
        assert in_trouble(follower, "what it said before holds")
        assert follower.datastore.status.is_connected
        assert before.items() <= follower.items.items()

        async def in_lists(request: Request, writer: asyncio.StreamWriter) -> bool:
            if request.is_watch or request.plural != POOLS:
                return False
            del api.objects[POOLS]["pool"]
            await answer(writer, api.list_of(request, bad))
            api.objects[POOLS]["pool"] = pool("pool", resourceVersion="1")
            return True

        for each in api.objects[POOLS].values():
            each["metadata"]["resourceVersion"] = "1"
        api.misbehave = in_lists
        api.cut()
        await api.put(pool("later"))
        await follower.until(lambda seen: resource_key("IPPool", "later") in seen.items)
        assert before.items() <= follower.items.items()


ODD = [
    b"",
    b"[]",
    b"7",
    b"{}",
    b'{"type": "ADDED"}',
    b'{"type": "ADDED", "object": 7}',
    b'{"type": 7, "object": {}}',
    event("ADDED", {}),
    event("ADDED", {"metadata": {"name": 7, "namespace": []}}),
    event("MODIFIED", {"metadata": {"name": "a/b"}}),
    event("DELETED", {"metadata": {"name": "never-there"}}),
    event("DELETED", {}),
    event("BOOKMARK", {}),
    event("BOOKMARK", {"metadata": {"resourceVersion": "x" * 10_000}}),
    event("BOOKMARK", {"metadata": {"resourceVersion": 7}}),
    event("NEWS", {"metadata": {"name": "pool", "resourceVersion": "3"}}),
    event("ADDED", {"metadata": {"name": "odd"}, "spec": [[[]]]}),
    event("ADDED", {"metadata": {"name": "odd"}, "spec": "\ud800"}),
    event("MODIFIED", {"metadata": {"name": "odd"}}),
]


async def test_events_of_any_shape_and_order_cost_no_other_anything(
    tmp_path: Path,
) -> None:
    async with followed(tmp_path) as (api, follower):
        before = dict(follower.items)
        for plural in ("nodes", POOLS, "blockaffinities", "bgppeers"):
            for line in ODD:
                await api.tell(plural, line)
        await api.put(pool("after"))
        await follower.until(lambda seen: resource_key("IPPool", "after") in seen.items)
        assert in_trouble(follower, "an event of the unknown type 'NEWS'")
        assert before.items() <= follower.items.items()
        assert follower.datastore.status.is_connected
        api.cut()
        wanted = {*before, resource_key("IPPool", "after")}
        await follower.until(lambda seen: seen.items.keys() == wanted)


async def test_an_error_instead_of_events_is_tried_again(tmp_path: Path) -> None:
    async with followed(tmp_path) as (api, follower):
        before = dict(follower.items)
        for line in (event("ERROR", STATUS), json.dumps(STATUS).encode()):
            count = len(api.requests)
            await api.tell(POOLS, line)
            await follower.until(lambda _, count=count: len(api.requests) > count)  # type: ignore[misc]
            await follower.until(lambda seen: seen.datastore.status.is_connected)
            await follower.until(lambda _: api.watch_count == 8)
        await api.tell(POOLS, event("ERROR", "x"))
        await until_well(api, follower)
        assert before.items() <= follower.items.items()


async def test_watches_that_all_end_at_once_are_reported_and_changes_are_listed(
    tmp_path: Path,
) -> None:
    async def hasty(request: Request, writer: asyncio.StreamWriter) -> bool:
        if not request.is_watch:
            return False
        await begin(writer)
        await chunk(writer, b"")
        return True

    async with followed(tmp_path) as (api, follower):
        api.misbehave = hasty
        api.cut()
        await follower.until(lambda seen: in_trouble(seen, "ends each watch at once"))
        await api.put(pool("unheard"))
        await follower.until(
            lambda seen: resource_key("IPPool", "unheard") in seen.items
        )
        await until_well(api, follower)


# -- generated ----------------------------------------------------------------------------


@pytest.mark.parametrize("is_watch", [False, True], ids=["list", "watch"])
async def test_answers_that_were_mutated_lose_nothing(
    tmp_path: Path, *, is_watch: bool
) -> None:
    """Whole answers of the server, with octets changed anywhere behind the status."""
    rng = random.Random(7)
    tried = 0

    def mutated(octets: bytes) -> bytes:
        for _ in range(rng.randrange(1, 5)):
            at = rng.randrange(17, len(octets))
            length = rng.choice((0, 1, 1, 8, 40))
            more = rng.choice((rng.randbytes(rng.randrange(9)), octets[at : at + 30]))
            octets = octets[:at] + more + octets[at + length :]
        return octets

    async def misbehave(request: Request, writer: asyncio.StreamWriter) -> bool:
        nonlocal tried
        if request.plural != POOLS or request.is_watch is not is_watch:
            return False
        tried += 1
        content = api.list_of(request)
        if is_watch:
            content = event("MODIFIED", api.objects[POOLS]["pool"]) + b"\n"
        head = HEAD + f"Content-Length: {len(content)}\r\n\r\n".encode()
        writer.write(mutated(head + content))
        await writer.drain()
        raise EOFError

    async with followed(tmp_path) as (api, follower):
        others = {k: v for k, v in follower.items.items() if POOLS not in k}
        api.misbehave = misbehave
        for count in range(40):
            api.cut()
            await follower.until(lambda _, count=count: tried > count, 60)  # type: ignore[misc]
        assert others.items() <= follower.items.items()
        api.misbehave = None
        await api.put(pool("pool", ipipMode="Always"))  # as it is, whatever was made up
        api.cut()
        wanted = {*others, resource_key("IPPool", "pool")}
        await follower.until(
            lambda seen: (
                seen.items.keys() == wanted
                and b"Always" in seen.items[resource_key("IPPool", "pool")]
            ),
            30,
        )


async def test_a_burst_of_large_events_does_not_hold_the_loop(tmp_path: Path) -> None:
    async with followed(tmp_path) as (api, follower):
        stalls: list[float] = []

        async def tick() -> None:
            while True:
                start = time.perf_counter()
                await pause(0)
                stalls.append(time.perf_counter() - start)

        ticker = asyncio.create_task(tick())
        large = [
            {"action": "Accept", "cidr": f"10.{n >> 8}.{n & 255}.0/24"}
            for n in range(7000)
        ]
        for number in range(10):
            made = an_object("BGPFilter", f"f{number}", exportV4=large)
            await api.put(custom_resource(made, GROUP_V1))
        await follower.until(lambda seen: resource_key("BGPFilter", "f9") in seen.items)
        ticker.cancel()
        assert len(stalls) > 10  # the loop went round between them

"""Checks of the datastore: whether it answers, whether we may read it, and the time of its servers."""

import asyncio
import contextlib
import os
import ssl
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Final

from bgpd.calico.events import Snapshot
from bgpd.cli.doctor.findings import Finding, fault, ok, unknown, warning
from bgpd.config.settings import (
    DaemonSettings,
    DatastoreKind,
    DatastoreSettings,
    KubernetesSettings,
)
from bgpd.datastore.kubernetes.access import find_access
from bgpd.datastore.model import Datastore, DatastoreError
from bgpd.node.datastore_follower import make_datastore

ANSWER: Final = 4.0  # seconds that a server has
OTHERS: Final = 1.0  # seconds for other endpoints, once one has failed
_LOOK: Final = 0.1  # seconds between looks at what failed
PATIENCE: Final = 8.0  # seconds for the whole check
SKEW: Final = 2.0  # seconds that clocks may differ; Date has whole ones
MUCH_SKEW: Final = 60.0  # from here on certificates and tokens are at risk
_REQUEST: Final = b"GET /version HTTP/1.1\r\nHost: etcd\r\nConnection: close\r\n\r\n"


def datastore(settings: DaemonSettings) -> Iterator[Finding]:
    """Read from the datastore as the daemon would."""
    name = "datastore"
    store = settings.datastore
    if store.kind is DatastoreKind.NONE:
        yield ok(name, "none is configured")
        return
    advice = "the text names the key of the file; docs/configuration.md"
    try:
        source = make_datastore(
            store,
            settings.node_name,
            all_blocks=settings.routes.holds_cluster_routes,
            kubernetes=settings.kubernetes,
            uses_pod_cidrs=settings.calico.uses_pod_cidrs,
        )
    except DatastoreError as error:
        yield fault(name, str(error), advice)
        return
    count, reason, findings = asyncio.run(_snapshot(source.datastore))
    if reason:
        yield fault(name, reason, advice)
        return
    yield ok(name, f"{store.kind.value}: {count} objects can be read")
    for text in findings:
        yield warning(name, text)


async def _snapshot(source: Datastore) -> tuple[int, str, tuple[str, ...]]:
    """Return how many objects there are, or why none; and what is wrong with the source."""
    time = asyncio.get_running_loop().time
    events = source.events()
    first = asyncio.ensure_future(anext(events))
    end = time() + ANSWER
    try:
        while time() < end:
            await asyncio.wait([first], timeout=_LOOK)
            if first.done():
                event = first.result()
                items = event.items if isinstance(event, Snapshot) else {}
                return len(items), "", source.status.warnings
            if source.status.last_error:  # another endpoint may still answer
                end = min(end, time() + OTHERS)
    finally:
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await first
        with contextlib.suppress(Exception):
            await events.aclose()
    return 0, source.status.last_error or "no answer", ()


# -- the clock ------------------------------------------------------------------------------


def clock(settings: DaemonSettings) -> Iterator[Finding]:
    """Compare the clock with that of the datastore's servers."""
    name = "clock"
    store = settings.datastore
    match store.kind:
        case DatastoreKind.ETCD:
            for endpoint in store.endpoints:
                yield _compared(endpoint, asyncio.run(_date_of_etcd(endpoint, store)))
        case DatastoreKind.KUBERNETES:
            said = asyncio.run(_date_of_api(settings.kubernetes))
            yield _compared("the Kubernetes API", said)
        case _:
            yield ok(name, "no server to compare it with; see timedatectl")


def _compared(server: str, date: str) -> Finding:
    name = "clock"
    try:
        skew = time.time() - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return unknown(name, f"{server} sends no time")
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} {server}"
    advice = "start NTP (systemd-timesyncd, chrony) on the machine that is wrong"
    if abs(skew) > MUCH_SKEW:
        text = f"{text}: certificates and tokens may not be valid"
        return fault(name, text, advice)
    if abs(skew) > SKEW:
        return warning(name, text, advice)
    return ok(name, f"that of {server}, within {SKEW:g} s")


async def _date_of_api(settings: KubernetesSettings) -> str:
    access = find_access(settings, os.environ, is_datastore=True)
    if access is None:
        return ""
    try:
        async with asyncio.timeout(ANSWER), access.connect() as client:
            return await client.date()
    except Exception:  # noqa: BLE001  # of several libraries; the datastore's line says why
        return ""


async def _date_of_etcd(endpoint: str, store: DatastoreSettings) -> str:
    """Return the time of a member of etcd, as HTTP has it; empty if it sends none."""
    from bgpd.datastore.etcd.client import split_endpoint  # noqa: PLC0415  # gRPC costs
    from bgpd.datastore.etcd.tls_files import tls_context  # noqa: PLC0415  # 0.2 s

    context: ssl.SSLContext | None = None
    try:
        host, port, is_tls = split_endpoint(
            endpoint, is_tls=bool(store.ca_file or store.cert_file)
        )
        if is_tls:
            context = tls_context(store)
            context.set_alpn_protocols(["http/1.1"])
        async with asyncio.timeout(ANSWER):
            reader, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.write(_REQUEST)
            answer = await reader.read(4096)
            writer.transport.abort()
    except (OSError, DatastoreError):
        return ""
    for line in answer.split(b"\r\n"):
        key, _, value = line.partition(b":")
        if key.lower() == b"date":
            return value.decode("ascii", "replace").strip()
    return ""

"""Writes objects to a datastore from inside a namespace, as told on standard input.

Run as ``python -m bgpd.lab.store_writer etcd URL`` or ``... kubernetes KUBECONFIG v1|v3``. Each
line is a JSON object with ``verb`` (``apply`` or ``delete``) and ``objects``; the answer is a
line: ``ok``, or what failed. To Kubernetes' API it first writes what Calico's objects need
there: their kinds, and the rights of those who read them.
"""

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bgpd.datastore.model import DatastoreError, Writer

START_TIMES: Final = {"etcd": 10.0, "kubernetes": 60.0}
"""Seconds for the servers to come up, on a busy machine."""
PAUSE: Final = 0.1  # seconds between two tries

Prepare = Callable[[], Awaitable[None]]


async def write(writer: Writer, line: str, seconds: float) -> str:
    """Carry out one line; servers that are not up yet are waited for."""
    order = json.loads(line)
    act = writer.apply if order["verb"] == "apply" else writer.delete
    return await insist(lambda: act(order["objects"]), seconds)


async def insist(work: Prepare, seconds: float) -> str:
    """Try until it works, for so many seconds; return ``ok`` or why it did not."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            await work()
        except DatastoreError as error:
            if time.monotonic() > deadline:
                return str(error).replace("\n", " ")
            await asyncio.sleep(PAUSE)
        else:
            return "ok"


async def _nothing() -> None:
    """Prepare nothing: etcd takes any key."""


def _for_etcd(url: str) -> tuple[Writer, Prepare]:
    from bgpd.datastore.etcd import EtcdSettings, EtcdWriter  # noqa: PLC0415  # one of two

    return EtcdWriter(EtcdSettings(endpoints=(url,))), _nothing


def _for_kubernetes(kubeconfig: str, version: str) -> tuple[Writer, Prepare]:
    from bgpd.datastore.kubernetes import Access  # noqa: PLC0415  # one of two
    from bgpd.datastore.kubernetes.stored_objects import GROUPS  # noqa: PLC0415
    from bgpd.datastore.kubernetes.writer import KubernetesWriter  # noqa: PLC0415
    from bgpd.lab.kubernetes_setup import prepare  # noqa: PLC0415

    group = GROUPS[version]
    writer = KubernetesWriter(Access(kubeconfig), group)
    return writer, lambda: prepare(writer, group)


def main(kind: str, *place: str) -> None:
    """Carry out lines until standard input ends."""
    writer, work = _for_etcd(*place) if kind == "etcd" else _for_kubernetes(*place)
    seconds = START_TIMES[kind]
    is_prepared = False
    for line in sys.stdin:
        answer = "ok" if is_prepared else asyncio.run(insist(work, seconds))
        if answer == "ok":
            is_prepared = True
            answer = asyncio.run(write(writer, line, seconds))
        print(answer, flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(*sys.argv[1:])

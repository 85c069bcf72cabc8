"""Writes objects that come on standard input to etcd, from inside a namespace.

Run as ``python -m bgpd.lab.etcd_writer URL``. Each line is a JSON object with ``verb``
(``apply`` or ``delete``) and ``objects``; the answer is a line: ``ok``, or what failed.
"""

import asyncio
import json
import sys
import time

from bgpd.datastore import DatastoreError
from bgpd.datastore.etcd import EtcdSettings, EtcdWriter

START_TIMEOUT = 10.0  # seconds for the server to come up


async def write(writer: EtcdWriter, line: str) -> str:
    """Carry out one line; a server that is not up yet is waited for."""
    order = json.loads(line)
    act = writer.apply if order["verb"] == "apply" else writer.delete
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            await act(order["objects"])
        except DatastoreError as error:
            if time.monotonic() > deadline:
                return str(error).replace("\n", " ")
            await asyncio.sleep(0.1)
        else:
            return "ok"


def main(url: str) -> None:
    """Carry out lines until standard input ends."""
    writer = EtcdWriter(EtcdSettings(endpoints=(url,)))
    for line in sys.stdin:
        print(asyncio.run(write(writer, line)), flush=True)  # noqa: T201 - its output


if __name__ == "__main__":
    main(sys.argv[1])

"""Two machines joined by a cable, for programs that are not routers of the lab."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bgpd.lab.routers.bird import Bird

BIRD = Bird.program("bird")


@contextmanager
def two_networks(name: str, *addresses: str) -> Iterator[list[tuple[str, ...]]]:
    """Two namespaces joined by a cable; yields what runs a program in each.

    Args:
        name: Of the pair; the process id is added.
        addresses: With prefix lengths, of the device ``eth0`` of each.
    """
    names = [f"{name}-{os.getpid()}-{number}" for number in range(len(addresses))]
    enters: list[tuple[str, ...]] = [("ip", "netns", "exec", each) for each in names]
    try:
        for each in names:
            subprocess.run(["ip", "netns", "add", each], check=True)
        cable = ["ip", "link", "add", "eth0", "netns", names[0], "type", "veth"]
        subprocess.run([*cable, "peer", "name", "eth0", "netns", names[1]], check=True)
        for enter, address in zip(enters, addresses, strict=True):
            for words in (
                "link set lo up",
                f"address add {address} dev eth0",
                "link set eth0 up",
            ):
                subprocess.run([*enter, "ip", *words.split()], check=True)
        yield enters
    finally:
        for each in names:
            subprocess.run(["ip", "netns", "delete", each], check=False)


@contextmanager
def a_bird(
    folder: Path,
    config: str,
    *prefix: str,
    recovers: bool = False,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Run BIRD with ``folder/bird.ctl`` as its socket.

    Args:
        folder: Of its files.
        config: Its configuration.
        prefix: The command that runs a program in its namespace.
        recovers: Whether it takes over what is in the kernel (``-R``).
        end: The signal it gets at the end.
    """
    file = folder / "bird.conf"
    file.write_text(config, encoding="utf-8")
    command = [*prefix, BIRD, "-f", "-c", str(file), "-s", str(folder / "bird.ctl")]
    with (folder / "bird.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, "-R"] if recovers else command, stdout=log, stderr=log
        )
        try:
            yield
        finally:
            process.send_signal(end)
            process.wait(10)

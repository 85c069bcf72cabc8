"""``pybgpd health``: probes for Kubernetes with the rules and words of ``calico-node``.

Small and quick to start, since a kubelet runs it every few seconds on every node.
"""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bgpd.api.bird_health import (
    UnexpectedAnswerError,
    is_recovering,
    parse_protocols,
    why_not_established,
)
from bgpd.texts.errors import text_of

SOCKET_FOLDERS: Final = (Path("/var/run/calico"), Path("/var/run/bird"))
NODE_NAME_FILE: Final = Path("/var/lib/calico/nodename")
SERVICES: Final = Path("/etc/service/enabled")
PATIENCE: Final = 2.0  # seconds for each line, as calico-node
LAST_LINES: Final = {"show protocols": "0000", "show status": "0013"}


class Surroundings(NamedTuple):
    """Where things are.

    Attributes:
        socket_folders: Searched in turn for the sockets of BIRD.
        node_name_file: Written when the node started; its age counts.
        services: runit's folder of services; without it none is checked.
    """

    socket_folders: Sequence[Path] = SOCKET_FOLDERS
    node_name_file: Path = NODE_NAME_FILE
    services: Path = SERVICES


class NotHealthyError(Exception):
    """A check is not met; the text says which and why."""


class Family(NamedTuple):
    """One of the two daemons that Calico expects.

    Attributes:
        daemon: Its name; also of its socket and its service.
        version: Of the Internet Protocol.
        separator: Of the words of its addresses.
    """

    daemon: str
    version: int
    separator: str


IPV4: Final = Family("bird", 4, ".")
IPV6: Final = Family("bird6", 6, ":")


def check_ready(family: Family, around: Surroundings, threshold: float) -> None:
    """Check what ``-bird-ready`` and ``-bird6-ready`` do.

    Args:
        family: Which daemon.
        around: Where things are.
        threshold: Seconds from the start during which all sessions must be up.

    Raises:
        NotHealthyError: It is not ready.
    """
    prefix = f"calico/node is not ready: {family.daemon.upper()} is not ready: "
    try:
        started_at = around.node_name_file.stat().st_mtime
    except OSError as error:
        text = f"failed to stat() nodename file: {error.strerror}"
        raise NotHealthyError(prefix + text) from error
    try:
        lines = _ask(family, around, "show protocols")
        peers = parse_protocols(lines, family.separator)
        is_young = time.time() - started_at < threshold
        reason = why_not_established(peers, is_young=is_young)
        if (
            peers
            and is_young
            and not reason
            and is_recovering(_ask(family, around, "show status"))
        ):
            reason = "graceful restart in progress"
    except UnexpectedAnswerError as error:
        raise NotHealthyError(f"{prefix}error executing command: {error}") from error
    except OSError as error:
        text = f"error querying BIRD: BIRDv{family.version} socket: {_words(error)}"
        raise NotHealthyError(prefix + text) from error
    if reason:
        raise NotHealthyError(prefix + reason)


def check_live(family: Family, around: Surroundings) -> None:
    """Check what ``-bird-live`` and ``-bird6-live`` do.

    Outside an image with runit, where its folder is missing, the socket alone is asked.

    Raises:
        NotHealthyError: It is not alive.
    """
    prefix = "calico/node is not ready: "
    if around.services.is_dir():
        for service in ("confd", family.daemon):
            if reason := _why_not_running(around.services / service):
                text = f"{family.daemon}/confd is not live: {reason}"
                raise NotHealthyError(prefix + text)
    try:
        first = next(_ask(family, around, "show status"), "")
    except OSError as error:
        text = f"{family.daemon} is not live: {_words(error)}"
        raise NotHealthyError(prefix + text) from error
    if not first[5:].startswith("BIRD"):
        text = f"bad response from {family.daemon}: {first}"
        raise NotHealthyError(prefix + text)


def failures(checks: Sequence[Callable[[], None]]) -> Iterator[str]:
    """Run checks in turn; yield what is wrong."""
    for check in checks:
        try:
            check()
        except NotHealthyError as error:
            yield str(error)


def _why_not_running(service: Path) -> str:
    """Return what ``sv`` says against a service; empty is nothing."""
    try:
        outcome = subprocess.run(
            ["sv", "status", str(service)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = outcome.stdout.strip()
    if said.startswith("run"):
        return ""
    return f"service {service.name} is not running. Output << {said} >>"


def _ask(family: Family, around: Surroundings, command: str) -> Iterator[str]:
    """Ask one thing; yield the lines of the answer as they come, the greeting first.

    Raises:
        OSError: There is no daemon, or no answer in time.
    """
    paths = [folder / f"{family.daemon}.ctl" for folder in around.socket_folders]
    path = next((path for path in paths if path.exists()), paths[-1])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(path))
        sock.sendall(f"{command}\n".encode())
        with sock.makefile("r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                yield line.rstrip("\n")
                if line.startswith(LAST_LINES[command]):
                    return


def _words(error: OSError) -> str:
    return error.strerror or text_of(error)

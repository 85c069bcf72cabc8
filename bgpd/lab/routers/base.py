"""What every router driver offers, for any vendor's router.

A driver writes its maker's configuration from a ``Speaker``, runs the daemons in the
foreground as children inside the machine's namespace with logs to files, and answers with
plain values.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bgpd.lab.errors import LabError
from bgpd.lab.namespace import Namespace
from bgpd.lab.speaker import RouteView, SessionView, Speaker
from bgpd.lab.topology import FamilyName

READY_TIME = 15.0  # seconds for a daemon to answer after its start, on a busy machine
STOP_TIME = 5.0  # seconds between SIGTERM and SIGKILL
POLL_INTERVAL = 0.03  # seconds


def wait_until(predicate: Callable[[], bool], timeout: float, what: str) -> None:
    """Wait until ``predicate`` holds; a ``LabError`` from it counts as "not yet".

    Raises:
        LabError: It did not hold within ``timeout`` seconds; names ``what``.
    """
    deadline = time.monotonic() + timeout
    while True:
        reason = ""
        try:
            if predicate():
                return
        except LabError as error:
            reason = f" ({error})"
        if time.monotonic() > deadline:
            raise LabError(f"not within {timeout:g} s: {what}{reason}")
        time.sleep(POLL_INTERVAL)


class Router(ABC):
    """A BGP daemon (with its helpers) in one namespace.

    Attributes:
        kind: The name in topologies.
        programs: What must be installed, as paths or names on PATH.
        speaker: What it is configured to be.
    """

    kind: ClassVar[str]
    programs: ClassVar[tuple[str, ...]]

    def __init__(self, speaker: Speaker, namespace: Namespace, folder: Path) -> None:
        """Prepare a router; nothing runs yet.

        Args:
            speaker: Its configuration.
            namespace: Where it runs.
            folder: Its own, for configuration, sockets and logs.
        """
        self.speaker = speaker
        self.namespace = namespace
        self.folder = folder
        self.originated = list(speaker.originate)
        self._children: list[subprocess.Popen[bytes]] = []

    @classmethod
    def program(cls, name: str, folder: str = "") -> str:
        """Return where one of its programs is.

        Args:
            name: Of its file.
            folder: Where all of them are; empty for the folder ``kind`` below the one that
                the environment's ``PEERS_FOLDER`` names, or the installed ones without it.
        """
        peers = os.environ.get("PEERS_FOLDER", "")
        if not folder and peers and Path(peers, cls.kind, name).exists():
            folder = f"{peers}/{cls.kind}"
        if folder:
            return f"{folder}/{name}"
        known = (each for each in cls.programs if Path(each).name == name)
        return next(known, str(Path(cls.programs[0]).with_name(name)))

    @classmethod
    def is_installed(cls, folder: str = "") -> bool:
        """Whether all its programs are there; ``folder`` as of ``program``."""
        names = (Path(each).name for each in cls.programs)
        return all(_which(cls.program(name, folder)) for name in names)

    def _path_of(self, name: str) -> str:
        """Return the program that this router runs."""
        return self.program(name, self.speaker.programs)

    @property
    def log_path(self) -> Path:
        """The log of all its daemons."""
        return self.folder / "log"

    @abstractmethod
    def write_config(self) -> None:
        """Write the maker's configuration files into ``folder``."""

    @abstractmethod
    def commands(self) -> Sequence[Sequence[str]]:
        """Return the daemons' command lines, in the order of their start."""

    @abstractmethod
    def sessions(self) -> dict[str, SessionView]:
        """Return the configured neighbours by address.

        Raises:
            LabError: The daemon does not answer.
        """

    @abstractmethod
    def routes(self, family: FamilyName = "ipv4") -> dict[str, list[RouteView]]:
        """Return what was learned by BGP, by prefix, the best route first.

        Raises:
            LabError: The daemon does not answer.
        """

    @abstractmethod
    def originate(self, prefix: str) -> None:
        """Announce one more prefix from now on."""

    @abstractmethod
    def withdraw(self, prefix: str) -> None:
        """Stop announcing a prefix."""

    @abstractmethod
    def refresh(self, addr: str) -> None:
        """Ask a neighbour to send all its routes again (RFC 2918)."""

    @abstractmethod
    def reset(self, addr: str) -> None:
        """End a session with a NOTIFICATION; it comes up again by itself."""

    def environment(self) -> Mapping[str, str]:
        """Return what is added to the daemons' environment."""
        return {}

    def start(self) -> None:
        """Write the configuration and start the daemons."""
        self.write_config()
        with self.log_path.open("ab") as log:
            for argv in self.commands():
                self._children.append(
                    self.namespace.popen(
                        argv, log, cwd=self.folder, env=self.environment()
                    )
                )
                self._started(len(self._children))

    def _started(self, count: int) -> None:  # noqa: B027 - most drivers need nothing here
        """Let a driver wait between daemons; ``count`` of them run now."""

    def wait_ready(self, timeout: float = READY_TIME) -> None:
        """Wait until the daemon answers.

        Raises:
            LabError: It ended, or does not answer in ``timeout`` seconds; with its log.
        """
        try:
            wait_until(self._is_ready, timeout, f"{self._title} answers")
        except LabError as error:
            raise LabError(f"{error}\n{self.log_tail()}") from None

    def is_running(self) -> bool:
        """Whether all its daemons run."""
        return bool(self._children) and all(c.poll() is None for c in self._children)

    def stop(self) -> None:
        """End the daemons with SIGTERM, the last started first; SIGKILL if need be."""
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_TIME)
        self.kill()

    def kill(self) -> None:
        """End the daemons with SIGKILL: they send nothing more."""
        for child in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        self._children.clear()

    def restart(self) -> None:
        """Stop and start, and wait until it answers."""
        self.stop()
        self.start()
        self.wait_ready()

    def wait_established(self, *addrs: str, timeout: float = READY_TIME) -> None:
        """Wait until sessions (all configured by default) are established.

        Raises:
            LabError: With the states and the log.
        """
        wanted = addrs or tuple(n.addr for n in self.speaker.neighbours)

        def are_up() -> bool:
            seen = self.sessions()
            return all(a in seen and seen[a].is_established for a in wanted)

        try:
            wait_until(are_up, timeout, f"{self._title}: {', '.join(wanted)} up")
        except LabError as error:
            states = ""
            with contextlib.suppress(LabError):
                states = str({a: s.state for a, s in self.sessions().items()})
            raise LabError(f"{error} {states}\n{self.log_tail()}") from None

    def log_tail(self, lines: int = 15) -> str:
        """Return the end of its log."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "(no log)"
        return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:])

    @property
    def _title(self) -> str:
        return f"{self.kind} on {self.speaker.name}"

    def _is_ready(self) -> bool:
        if not self.is_running():
            raise LabError(f"{self._title} ended")
        self.sessions()
        return True


def _which(program: str) -> bool:
    return shutil.which(program, path=f"{os.defpath}:/usr/sbin:/sbin") is not None

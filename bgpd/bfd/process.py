"""The daemon's side of the BFD process: starts it, starts it again when it ends, and passes reports on."""

import asyncio
import contextlib
import logging
import os
import socket
import subprocess
import sys
from collections import Counter
from itertools import count
from typing import Final, Protocol

from bgpd.bfd.messages import (
    MAX_MESSAGE,
    Target,
    decode,
    encode,
    encode_set,
    report_from,
)
from bgpd.bfd.session_table import Report

_READ_MOST: Final = 64  # messages in a turn of the loop
_BUFFER: Final = 1 << 20  # octets of messages under way
_COUNTS_TIMEOUT: Final = 2.0  # seconds for an answer
_QUIET_TIME: Final = (
    60.0  # seconds without an end after which the next start is at once again
)
_MAX_PAUSE: Final = 30.0  # seconds between starts

_log = logging.getLogger(__name__)


class BfdListener(Protocol):
    """The receiver of reports: the speaker."""

    def reported(self, number: int, report: Report) -> None:
        """A session's state, or what its peer says, has changed."""

    def fault_changed(self, number: int, text: str) -> None:
        """Packets cannot be sent, or can be again: then the text is empty."""

    def process_lost(self) -> None:
        """The process has ended: what the sessions are is unknown until the next report."""


class Counts:
    """What the process counts.

    Attributes:
        sessions: By number: packets received, packets sent, the interval of sending and the
            detection time, in seconds.
        discarded: Packets, by reason.
    """

    def __init__(self) -> None:
        self.sessions: dict[int, tuple[int, int, float, float]] = {}
        self.discarded: Counter[str] = Counter()


class BfdProcess:
    """One process for all sessions; it runs while there are any.

    Args:
        loop: Where it is heard.
        listener: Gets its reports.

    Attributes:
        targets: What is wanted, by number.
        reports: The last report of each.
        restart_count: How often it ended by itself.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, listener: BfdListener) -> None:
        self.targets: dict[int, Target] = {}
        self.reports: dict[int, Report] = {}
        self.restart_count = 0
        self._loop = loop
        self._listener: BfdListener | None = listener
        self._process: subprocess.Popen[bytes] | None = None
        self._sock: socket.socket | None = None
        self._unsent: dict[
            int, None
        ] = {}  # numbers whose target it does not know yet, in order
        self._starting: asyncio.TimerHandle | None = None
        self._questions: dict[int, tuple[Counts, asyncio.Future[Counts]]] = {}
        self._tokens = count(1)
        self._started_at = 0.0

    @property
    def pid(self) -> int:
        """The process; 0 without one."""
        return 0 if self._process is None else self._process.pid

    def set(self, number: int, target: Target) -> None:
        """Begin or change a session."""
        self.targets[number] = target
        self._unsent[number] = None
        if self._sock is None and self._starting is None:
            self._start()
        self._send()

    def remove(self, number: int) -> None:
        """End a session: the peer hears AdminDown."""
        self.targets.pop(number, None)
        self.reports.pop(number, None)
        self._unsent[number] = None
        self._send()

    async def counts(self) -> Counts:
        """Ask for what it counts; empty where it does not answer soon."""
        if self._sock is None:
            return Counts()
        token = next(self._tokens)
        answer: asyncio.Future[Counts] = self._loop.create_future()
        self._questions[token] = (Counts(), answer)
        try:
            self._sock.send(encode("count", token))
            async with asyncio.timeout(_COUNTS_TIMEOUT):
                return await answer
        except (OSError, TimeoutError):
            return Counts()
        finally:
            del self._questions[token]

    def close(self) -> None:
        """End it; it says AdminDown for all sessions first."""
        self._listener = None
        if self._starting is not None:
            self._starting.cancel()
            self._starting = None
        self._leave()

    # -- the process --------------------------------------------------------------------

    def _start(self) -> None:
        self._starting = None
        self._started_at = self._loop.time()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            for sock in (ours, theirs):
                with contextlib.suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            try:
                self._process = subprocess.Popen(  # vfork: a millisecond
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "bgpd.bfd.child",
                        str(theirs.fileno()),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                )
            except OSError as error:
                ours.close()
                _log.error(
                    "cannot start the BFD process: %(reason)s",
                    {"event": "bfd-process-failed", "reason": error.strerror},
                )
                self._start_later()
                return
        ours.setblocking(False)
        self._sock = ours
        self._loop.add_reader(ours.fileno(), self._readable)
        self._unsent = dict.fromkeys(self.targets)
        self._send()

    def _start_later(self) -> None:
        """Start it again: at once, but less and less often where it keeps ending."""
        self.restart_count += 1
        lasted = self._loop.time() - self._started_at
        pause = 0.0 if lasted > _QUIET_TIME or self.restart_count == 1 else 1.0
        if lasted < 1.0:
            pause = min(_MAX_PAUSE, float(self.restart_count))
        self._starting = self._loop.call_later(pause, self._start)

    def _leave(self) -> None:
        """Close our end, which ends the process; a thread waits for that."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            self._loop.remove_writer(sock.fileno())
            sock.close()
        process, self._process = self._process, None
        if process is not None and process.poll() is None:
            _ = self._loop.run_in_executor(None, process.wait)

    def _lost(self) -> None:
        process = self._process
        self._leave()
        if self._listener is None:
            return
        code = None if process is None else process.returncode
        _log.error(
            "the BFD process ended by itself (exit code %(exit_code)s); sessions go on while another one starts",
            {"event": "bfd-process-ended", "exit_code": code},
        )
        self._start_later()
        self._listener.process_lost()

    # -- messages -----------------------------------------------------------------------

    def _send(self) -> None:
        sock = self._sock
        if sock is None:
            return
        try:
            while self._unsent:
                number = next(iter(self._unsent))
                target = self.targets.get(number)
                sock.send(
                    encode("remove", number)
                    if target is None
                    else encode_set(number, target, self.reports.get(number))
                )
                del self._unsent[number]
        except BlockingIOError:
            self._loop.add_writer(sock.fileno(), self._send)
        except OSError:
            return  # it has ended, which reading finds out
        else:
            self._loop.remove_writer(sock.fileno())

    def _readable(self) -> None:
        for _ in range(_READ_MOST):
            try:
                octets = b"" if self._sock is None else self._sock.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                octets = b""
            if not octets:
                self._lost()
                return
            self._take(octets)

    def _take(self, octets: bytes) -> None:
        listener = self._listener
        what, number, *fields = decode(octets)
        if what == "counts":
            if number in self._questions:
                self._add_counts(number, *fields)
        elif number not in self.targets or listener is None:
            return  # it was removed meanwhile
        elif what == "fault":
            listener.fault_changed(number, fields[0])
        else:
            report = report_from(fields)
            if report is not None:
                self.reports[number] = report
                listener.reported(number, report)

    def _add_counts(
        self,
        token: int,
        discarded: dict[str, int],
        sessions: dict[str, tuple[int, int, float, float]],
    ) -> None:
        counts, answer = self._questions[token]
        counts.sessions |= {int(number): row for number, row in sessions.items()}
        counts.discarded.update(discarded)
        if not sessions and not answer.done():
            answer.set_result(counts)


def _environment() -> dict[str, str]:
    path = os.pathsep.join(each for each in sys.path if each)
    return {**os.environ, "PYTHONPATH": path}

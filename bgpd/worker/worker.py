"""The daemon's side of a worker process."""

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any, Final

from bgpd.worker.frames import HEADER, MAX_FRAME, Kind, encode

MEMORY: Final = 1 << 30  # octets of address space; 16 MiB of YAML take 350 MiB
SILENCE_TIMEOUT: Final = 120.0  # seconds without a word before it is given up
REST: Final = 30.0  # seconds without work after which it ends


class WorkerError(Exception):
    """Work was not done; the text says why."""


class Worker:
    """One process that does one piece of work after the other; started when needed.

    A process that runs out of memory, crashes or hangs costs its work and nothing else. It is
    kept for a while, for the modules that the work needs take longer to load than most work.

    Args:
        memory: Octets of address space that it may have.
        patience: Seconds without a word before it is given up.
        rest: Seconds without work after which it ends.
    """

    def __init__(
        self,
        *,
        memory: int = MEMORY,
        patience: float = SILENCE_TIMEOUT,
        rest: float = REST,
    ) -> None:
        self._memory = memory
        self._patience = patience
        self._rest = rest
        self._turn = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._ends: set[asyncio.Task[int]] = set()

    @property
    def pid(self) -> int:
        """The process; 0 without one."""
        return 0 if self._process is None else self._process.pid

    async def pieces(
        self, function: Callable[..., Iterable[Any]], *arguments: object
    ) -> AsyncGenerator[Any, None]:
        """Yield what ``function`` yields there; an iteration that is left ends the process.

        Args:
            function: Of a module's top level; what it yields is pickled piece by piece, and
                taken in by the loop likewise, so pieces should take a millisecond or two.
            arguments: What it is called with.

        Raises:
            WorkerError: It raised, or the process cannot start, ended, or is silent.
        """
        async with self._turn:
            if self._resting is not None:
                self._resting.cancel()
            is_over = False
            try:
                await self._call(encode(Kind.CALL, (function, arguments)))
                while (answer := await self._answer())[0] is Kind.PIECE:
                    yield pickle.loads(answer[1])  # noqa: S301  # of our own process
                is_over = True
            except (OSError, EOFError, RuntimeError) as error:  # a closed transport's
                raise WorkerError(await self._reason(error)) from error
            finally:
                if is_over:
                    loop = asyncio.get_running_loop()
                    self._resting = loop.call_later(self._rest, self._end)
                else:
                    self._end()
            if answer[0] is Kind.FAULT:
                raise WorkerError(pickle.loads(answer[1]))  # noqa: S301  # as above

    async def close(self) -> None:
        """End the process."""
        self._end()
        await asyncio.gather(*self._ends, return_exceptions=True)

    async def _call(self, call: bytes) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it ended while it had nothing to do
        if self._process is None:
            await self._start()
        assert self._writer is not None  # noqa: S101  # made by the start
        self._writer.write(call)
        await self._writer.drain()

    async def _answer(self) -> tuple[Kind, bytes]:
        assert self._reader is not None  # noqa: S101  # made by the start
        async with asyncio.timeout(self._patience):
            kind, length = HEADER.unpack(await self._reader.readexactly(HEADER.size))
            if length > MAX_FRAME:
                raise EOFError(f"it declares {length} octets at once")
            return Kind(kind), await self._reader.readexactly(length)

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = subprocess.Popen(  # noqa: ASYNC220  # vfork: a millisecond
                    _command(theirs.fileno(), self._memory),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env=_environment(),
                )
            except OSError as error:
                ours.close()
                raise WorkerStartError(
                    error.errno, f"{sys.executable}: {error.strerror}"
                ) from error
        self._reader, self._writer = await asyncio.open_unix_connection(sock=ours)

    async def _reason(self, error: Exception) -> str:
        """Return why there is no answer, for people."""
        if isinstance(error, WorkerStartError):
            return f"cannot start a process: {error.strerror}"
        if isinstance(error, TimeoutError):
            return f"no answer within {self._patience:g} s"
        process = self._process
        if process is None:
            return str(error)
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = await asyncio.to_thread(process.wait, 1.0)
            if code < 0:
                return f"{signal.Signals(-code).name} ended the process"
            return f"the process exited with code {code}"
        return str(error)

    def _end(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._writer is not None:
            self._writer.transport.abort()
            self._reader = self._writer = None
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            # Giving back a gigabyte takes a while: not for the loop to wait for.
            end = asyncio.ensure_future(asyncio.to_thread(process.wait))
            self._ends.add(end)
            end.add_done_callback(self._ends.discard)


class WorkerStartError(OSError):
    """The process cannot be started."""


def _command(descriptor: int, memory: int) -> list[str]:
    # -P: what lies in the working directory is none of our modules.
    module = "bgpd.worker.child"
    return [sys.executable, "-P", "-m", module, str(descriptor), str(memory)]


def _environment() -> dict[str, str]:
    path = os.pathsep.join(each for each in sys.path if each)
    return {**os.environ, "PYTHONPATH": path}

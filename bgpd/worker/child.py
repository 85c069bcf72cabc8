"""The worker's side: reads calls from a socket, one after the other, until it ends.

What it may cost is bounded before it does anything: memory by a limit of its address space,
processor time by being less urgent than routing. It ends with the daemon however that ends.
"""

import contextlib
import ctypes
import gc
import os
import pickle
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import BinaryIO, Final

from bgpd.worker.frames import HEADER, Kind, encode

_NICE: Final = 10
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_YOUNG: Final = 100_000  # allocations between looks for garbage: trees have no cycles
_MAX_TEXT: Final = 500  # characters reported of an exception


def main(descriptor: int, memory: int) -> None:
    """Serve until the other end is closed."""
    _confine(memory)
    with (
        socket.socket(fileno=descriptor) as sock,
        sock.makefile("rb") as calls,
        sock.makefile("wb") as answers,
    ):
        while header := calls.read(HEADER.size):
            _, length = HEADER.unpack(header)
            _serve(calls.read(length), answers)


def _confine(memory: int) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # they are the daemon's
    libc = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Where the daemon ended before that, the socket's end says so.
    # A service manager may forbid each of these; the work is done without it.
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    with contextlib.suppress(OSError):  # if memory runs out, the worker goes first
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))
    gc.set_threshold(_YOUNG, 50, 1000)


def _serve(call: bytes, answers: BinaryIO) -> None:
    try:
        function, arguments = pickle.loads(call)  # noqa: S301  # of our own daemon
        for piece in function(*arguments):
            answers.write(encode(Kind.PIECE, piece))
            answers.flush()  # what is done must be known if the next piece ends us
        end = encode(Kind.DONE)
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # whatever it is, the daemon tells it
        end = encode(Kind.FAULT, _text_of(error))
    answers.write(end)
    answers.flush()


def _text_of(error: Exception) -> str:
    text = str(error)[:_MAX_TEXT]
    name = type(error).__name__
    return f"{name}: {text}" if text else name


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        main(int(sys.argv[1]), int(sys.argv[2]))

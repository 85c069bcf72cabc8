"""Shortened commands mean to our client what they mean to BIRD's own."""

import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import pytest

from bgpd.cli.bird_commands import ANSWERED, CommandError, expand

BIRDCL = "/usr/sbin/birdcl"
MARK, PROMPT = "received: ", "bird> "

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not shutil.which(BIRDCL), reason="bird2 is not installed"),
]


@contextmanager
def a_daemon_that_repeats_commands(path: Path) -> Iterator[None]:
    """Listen as BIRD does, and answer each command with itself: none is carried out."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(4)

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, connection.makefile("r") as lines:
                connection.sendall(b"0001 BIRD 2.0.12 ready.\n")
                for line in lines:
                    connection.sendall(f"0013 {MARK}{line.rstrip()}\n".encode())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield
        thread.join(10)


def understood(folder: Path, typed: list[str]) -> dict[str, str]:
    """Return what BIRD's client sends for each line; what it refuses is left out."""
    path = folder / "bird.ctl"
    with a_daemon_that_repeats_commands(path):
        done = subprocess.run(
            [BIRDCL, "-s", str(path)],
            input="".join(f"{line}\n" for line in typed),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "TERM": "dumb"},
        )
    found: dict[str, str] = {}
    current, read = "", 0
    for line in done.stdout.splitlines():
        if line.startswith(PROMPT):  # it repeats what it reads
            current, read = line.removeprefix(PROMPT), read + 1
        elif line.startswith(MARK):
            found[current] = line.removeprefix(MARK)
    assert read == len(typed) + 1  # the last one is for the end
    return found


def shortened() -> Iterator[str]:
    """Yield every way to shorten what we answer, two letters and more of later words."""
    for text, _, _ in ANSWERED:
        if text in ("exit", "quit", "help", "?"):
            continue  # they end the client itself, or are its own
        words = text.split()
        for cuts in product(*(range(1, len(word) + 1) for word in words)):
            yield " ".join(w[:n] for w, n in zip(words, cuts, strict=True))


def test_whatever_bird_s_client_understands_ours_does_alike(tmp_path: Path) -> None:
    typed = sorted({*shortened(), *(f"{text} x" for text in shortened())})
    theirs = understood(tmp_path, typed)
    assert len(theirs) > len(typed) // 2
    ours: dict[str, str] = {}
    for text in typed:
        try:
            ours[text] = expand(text)
        except CommandError:
            continue
    for text, meaning in theirs.items():
        assert ours.get(text, "").split() == meaning.split(), text
    # What it refuses and we take stands for something that only we leave out.
    more = {ours[text].split()[0] for text in ours.keys() - theirs.keys()}
    assert more == {"show", "configure"}

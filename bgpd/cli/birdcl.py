"""``birdcl``: ask a daemon in BIRD's words, and print as BIRD's own client does.

For images and scripts that call ``birdcl``; plain standard library, since probes start it
every few seconds.
"""

import getopt
import socket
import sys
from collections.abc import Iterator, Sequence
from typing import Final, Self, TextIO

from bgpd.cli.bird_commands import CommandError, expand

DEFAULT_SOCKET: Final = "/var/run/calico/bird.ctl"
LOCAL_SOCKET: Final = "bird.ctl"
ANSWER_TIMEOUT: Final = 10.0  # seconds for each piece of an answer
EXIT_OK, EXIT_ERROR, EXIT_USAGE = 0, 1, 2
_FIRST_ERROR: Final = 8000
_NOTHING_MORE: Final = -1
_USAGE: Final = "Usage: birdcl [-s <control-socket>] [-v] [-r] [-l] [<command>...]"


class Conversation:
    """A connection to a daemon.

    Args:
        path: Its socket.

    Raises:
        OSError: No process answers there.
    """

    def __init__(self, path: str) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(ANSWER_TIMEOUT)
        self._sock.connect(path)
        self._lines = self._sock.makefile("r", encoding="utf-8", errors="replace")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hang up."""
        self._lines.close()
        self._sock.close()

    def ask(self, command: str) -> Iterator[str]:
        """Send a command and yield the lines of its answer, as ``answer``."""
        self._sock.sendall(command.encode() + b"\n")
        return self.answer()

    def answer(self) -> Iterator[str]:
        """Yield lines as sent, without their ends, up to the last one.

        Raises:
            OSError: The daemon hung up, or did not answer in time.
        """
        while True:
            line = self._lines.readline()
            if not line:
                raise ConnectionError("Connection closed by server")
            line = line.rstrip("\n")
            yield line
            if line[:4].isdigit() and line[4:5] == " ":
                return


def print_answer(lines: Iterator[str], out: TextIO, *, is_verbose: bool) -> int:
    """Print an answer as BIRD's client does; return the code of its last line."""
    code = 0
    for line in lines:
        if line[:4].isdigit() and line[4:5] in ("-", " "):
            code = int(line[:4])
            text = line if is_verbose else line[5:]
        else:
            text = line if is_verbose else line[1:]
        if is_verbose or code:
            out.write(f"{text}\n")
    return code


def run(arguments: Sequence[str], out: TextIO, typed: TextIO) -> int:
    """Do what the arguments say; return the exit code.

    Args:
        arguments: Without the program's name.
        out: Where to print.
        typed: Commands, one a line, where the arguments hold none.
    """
    try:
        options, words = getopt.getopt(list(arguments), "s:vrl")
    except getopt.GetoptError as error:
        sys.stderr.write(f"birdcl: {error.msg}\n{_USAGE}\n")
        return EXIT_USAGE
    given = dict(options)
    path = given.get("-s") or (LOCAL_SOCKET if "-l" in given else DEFAULT_SOCKET)
    is_verbose = "-v" in given
    try:
        with Conversation(path) as daemon:
            print_answer(daemon.answer(), out, is_verbose=is_verbose)
            if "-r" in given:
                print_answer(daemon.ask("restrict"), out, is_verbose=is_verbose)
            commands = [" ".join(words)] if words else map(str.strip, typed)
            code = 0
            for command in filter(None, commands):
                code = _carry_out(daemon, command, out, is_verbose=is_verbose)
                if code == _NOTHING_MORE:
                    break
    except OSError as error:
        reason = error.strerror or str(error)
        sys.stderr.write(
            f"Unable to connect to server control socket ({path}): {reason}\n"
        )
        return EXIT_ERROR
    return EXIT_ERROR if code >= _FIRST_ERROR else EXIT_OK


def _carry_out(
    daemon: Conversation, command: str, out: TextIO, *, is_verbose: bool
) -> int:
    """Complete and send a command, and print its answer; return a code as BIRD's."""
    try:
        command = expand(command)
    except CommandError as error:
        out.write(f"{error}\n")
        return _FIRST_ERROR
    if command in ("exit", "quit"):
        return _NOTHING_MORE
    code = print_answer(daemon.ask(command), out, is_verbose=is_verbose)
    out.flush()
    return code


def main() -> None:
    """Run as a program."""
    try:
        sys.exit(run(sys.argv[1:], sys.stdout, sys.stdin))
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(EXIT_ERROR)


if __name__ == "__main__":
    main()

"""ExaBGP's API process: events to a file, commands from a named pipe.

Run by exabgp as a program, so it imports only the standard library. It ends when exabgp
closes its standard input.
"""

import os
import selectors
import sys


def main(pipe: str, events: str) -> None:
    """Pass on events and commands until exabgp ends.

    Args:
        pipe: Named pipe that commands are read from, one a line.
        events: File that what exabgp says is appended to.
    """
    # Read and write: with a writer of our own the pipe never reports its end.
    commands = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    file = os.open(events, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, b"started\n")
    routes = {sys.stdin.fileno(): file, commands: sys.stdout.fileno()}
    with selectors.DefaultSelector() as selector:
        for source in routes:
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                data = os.read(key.fd, 65536)
                if not data:
                    return
                os.write(routes[key.fd], data)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])

"""Unix sockets that servers listen on: made, replaced when stale, removed at the end."""

import contextlib
import logging
import os
import socket
import stat
from pathlib import Path
from struct import Struct
from typing import Final

from bgpd.texts.state_files import folder_fault, make_folder

SOCKET_MODE: Final = 0o660
_BACKLOG: Final = 1024  # more than clients that come at once; some do not wait for room
_MAX_PATH: Final = 107  # octets, sun_path of unix(7) without its NUL
_CREDENTIALS: Final = Struct("iII")  # pid, uid, gid: SO_PEERCRED of unix(7)

_log = logging.getLogger(__name__)


class UnixSocketError(Exception):
    """A socket cannot be opened; the text says why and what to do."""


class SocketTakenError(UnixSocketError):
    """Another daemon listens at the path."""


def inode_of(path: str) -> int:
    """Return the inode of a socket; 0 if it does not exist."""
    try:
        found = Path(path).lstat()
    except OSError:
        return 0
    return found.st_ino if stat.S_ISSOCK(found.st_mode) else 0


def remove(path: str) -> None:
    """Remove a socket; if it is gone already, that is right as well."""
    with contextlib.suppress(OSError):
        Path(path).unlink()


def listening_socket(path: str, title: str, hint: str) -> socket.socket:
    """Return a unix socket that listens at ``path``; a stale one is replaced.

    Args:
        path: Where.
        title: What it is, in errors.
        hint: What to do about one, with its punctuation.

    Raises:
        UnixSocketError: It cannot be made, or another daemon listens there.
    """
    if len(os.fsencode(path)) > _MAX_PATH:
        raise UnixSocketError(
            f"{title} {path}: the path is too long for a socket ({_MAX_PATH} octets at most)"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        make_folder(Path(path).parent)
        if fault := folder_fault(path):
            _log.warning(
                "%(part)s %(file)s: %(reason)s; others could replace the socket",
                {
                    "event": "socket-insecure",
                    "part": title,
                    "file": path,
                    "reason": fault,
                },
            )
        _remove_stale(path, title, hint)
        _bind(sock, path)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        reason = error.strerror or str(error)
        raise UnixSocketError(f"{title} {path}: {reason}{hint}") from error
    except UnixSocketError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bind(sock: socket.socket, path: str) -> None:
    """Make a socket's file, with its mode from the start and through no link.

    bind(2) follows no link and fails where anything stands; to change the mode afterwards
    would follow a link planted in its place.
    """
    mask = os.umask(~SOCKET_MODE & 0o777)
    try:
        sock.bind(path)
    finally:
        os.umask(mask)


def _remove_stale(path: str, title: str, hint: str) -> None:
    """Remove the socket of a daemon that is gone."""
    try:
        mode = Path(path).lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UnixSocketError(
            f"{title} {path}: a file that is not a socket is in the way"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)  # a daemon that is alive but busy still accepts in time
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            Path(path).unlink(missing_ok=True)
            return
        except OSError:
            pass  # its backlog is full, or it is not ours to connect to: it is in use
    raise SocketTakenError(
        f"{title} {path}: another daemon listens there; stop it{hint}"
    )


def client_of(sock: socket.socket) -> str:
    """Return the process at the other end, for the log."""
    octets = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(octets)
    return f"uid {uid}, pid {pid}"

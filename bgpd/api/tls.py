"""TLS for those who come by TCP: a certificate in files, which may be renewed at any time."""

import logging
import ssl
import time
from pathlib import Path
from typing import Final

from bgpd.texts.errors import text_of

LOOK_AGAIN: Final = 1.0  # seconds between two looks at the files

_log = logging.getLogger(__name__)


class ServerTls:
    """Encrypts connections with the certificate that the files hold now.

    Args:
        cert_file: Certificate, and those between it and its CA (PEM).
        key_file: Its private key (PEM).

    Raises:
        OSError: A file cannot be read, or they do not belong together.
    """

    def __init__(self, cert_file: str, key_file: str) -> None:
        self._files = (cert_file, key_file)
        self._seen = self._look()
        self._looked_at = time.monotonic()
        self._context = self._load()
        self._fault = ""

    def __call__(self) -> ssl.SSLContext:
        """Return what encrypts the next connection.

        Files that changed and cannot be used, as while only one of them is new, leave the former
        certificate in use.
        """
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AGAIN:
            self._looked_at = now
            try:
                seen = self._look()
                if seen != self._seen:
                    self._context, self._seen, self._fault = self._load(), seen, ""
            except OSError as error:
                self._note(text_of(error))
        return self._context

    def _look(self) -> list[tuple[int, int, int]]:
        found = [Path(file).stat() for file in self._files]
        return [(each.st_mtime_ns, each.st_ino, each.st_size) for each in found]

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(*self._files)
        except ssl.SSLError as error:
            reason = error.reason or str(error)
            raise OSError(
                0, f"{' and '.join(self._files)}: no certificate with its key: {reason}"
            ) from error
        return context

    def _note(self, reason: str) -> None:
        if reason != self._fault:
            _log.error(
                "certificate %(file)s: %(reason)s; the former one stays in use",
                {
                    "event": "certificate-unreadable",
                    "file": self._files[0],
                    "reason": reason,
                },
            )
        self._fault = reason

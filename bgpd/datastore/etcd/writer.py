"""Writes manifests and keys to etcd; for labs, tests and tools."""

from collections.abc import Awaitable, Callable, Iterable

from bgpd.datastore.etcd.client import Connection, EtcdError, EtcdSettings
from bgpd.datastore.manifests import item_of, key_of
from bgpd.datastore.model import DatastoreError, Manifest


class EtcdWriter:
    """Single-key writes, each tried on every endpoint in turn; see ``Writer``.

    Writes are idempotent, so that one whose answer was lost is simply done again.
    """

    def __init__(self, settings: EtcdSettings) -> None:
        self._settings = settings

    async def apply(self, manifests: Iterable[Manifest]) -> None:
        """Create or replace objects; see ``Writer``."""
        await self.put(dict(item_of(manifest) for manifest in manifests))

    async def delete(self, manifests: Iterable[Manifest]) -> None:
        """Delete objects; see ``Writer``."""
        await self.remove([key_of(manifest) for manifest in manifests])

    async def put(self, items: dict[str, bytes]) -> int:
        """Write keys in order; return the revision after the last.

        Raises:
            EtcdError: No endpoint took one of them.
        """
        revision = 0

        async def write(connection: Connection) -> None:
            nonlocal revision
            for key, value in items.items():
                revision = await connection.put(key, value)

        await self._anywhere(write)
        return revision

    async def remove(self, keys: Iterable[str]) -> int:
        """Delete keys, absent ones too; return the revision after the last.

        Raises:
            EtcdError: As ``put``.
        """
        names = list(keys)
        revision = 0

        async def write(connection: Connection) -> None:
            nonlocal revision
            for key in names:
                revision = await connection.delete(key)

        await self._anywhere(write)
        return revision

    async def compact(self, revision: int) -> None:
        """Forget the history before ``revision``.

        Raises:
            EtcdError: The call failed on every endpoint.
        """
        await self._anywhere(lambda connection: connection.compact(revision))

    async def _anywhere(self, work: Callable[[Connection], Awaitable[None]]) -> None:
        last: DatastoreError | None = None
        for endpoint in self._settings.endpoints:
            try:
                with Connection(endpoint, self._settings) as connection:
                    await connection.authenticate()
                    await work(connection)
            except DatastoreError as error:
                last = error
            else:
                return
        raise EtcdError(f"no endpoint accepted the write: {last}") from last

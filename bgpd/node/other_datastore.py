"""Notices a cluster that has moved to Kubernetes while this daemon still reads etcd.

After such a move nothing fails: etcd answers, and what it says is merely old. Calico marks the
datastore in use by ``datastoreReady`` of its ClusterInformation.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from bgpd.calico.kubernetes_objects import GROUP_V1, GROUP_V3, RESOURCES
from bgpd.calico.warnings import ObjectWarning
from bgpd.datastore.kubernetes import Access, ApiError, is_ready

LOOK: Final = 300.0  # seconds between looks
_GONE: Final = frozenset({403, 404})  # no right to look, or nothing to see


class OtherDatastore:
    """Looks at Kubernetes' API now and then.

    Args:
        access: Credentials.

    Attributes:
        warnings: What to tell; nothing if the API has no such objects, or they are locked.
    """

    def __init__(self, access: Access) -> None:
        self.warnings: tuple[ObjectWarning, ...] = ()
        self._access = access

    async def follow(self, changed: Callable[[], None]) -> None:
        """Look until cancelled; call ``changed`` when the warnings do."""
        while True:
            before = self.warnings
            with suppress(Exception):  # an API that is away says nothing new
                self.warnings = await self._look()
            if self.warnings != before:
                changed()
            await asyncio.sleep(LOOK * random.uniform(0.8, 1.2))  # noqa: S311  # jitter

    async def _look(self) -> tuple[ObjectWarning, ...]:
        async with self._access.connect() as api:
            for group in (GROUP_V1, GROUP_V3):
                path = f"apis/{group}/{RESOURCES['ClusterInformation']}/default"
                try:
                    content = await api.get(path)
                except ApiError as error:
                    if error.code in _GONE:
                        continue
                    raise
                if is_ready(content):
                    return (_moved(group),)
        return ()


def _moved(group: str) -> ObjectWarning:
    return ObjectWarning(
        f"ClusterInformation default of {group} in Kubernetes",
        "spec.datastoreReady",
        "says that Calico's objects are there; this daemon reads etcd (datastore.type, "
        "DATASTORE_TYPE), whose objects may be old",
    )

"""Inputs of a node's plan from outside its datastore: passwords, services, workloads.

Kubernetes' API is optional: without credentials the features are inert, and the status says
so. While it is unavailable, its last data stays in force.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from bgpd.calico.endpoints import LocalEndpoint
from bgpd.calico.objects import describe
from bgpd.calico.planner import Needs, SideInputs
from bgpd.calico.plausible import SECRETS, SERVICES, SLICES, WORKLOADS
from bgpd.calico.secrets import SecretTable
from bgpd.calico.services import ObjectName, ServiceTable
from bgpd.calico.slices import Slices, finish
from bgpd.calico.warnings import ObjectWarning
from bgpd.config.settings import REMOVAL_HOLD, DatastoreKind, KubernetesSettings
from bgpd.datastore.endpoint_status import EndpointFolder, Found, follow_endpoints
from bgpd.datastore.kubernetes import ApiStatus, KubernetesWatcher, Wants, find_access
from bgpd.node.input_removals import InputRemovals
from bgpd.node.other_datastore import OtherDatastore

START_WAIT: Final = 5.0  # seconds that a start waits for what the API has to say

_log = logging.getLogger(__name__)


class KubernetesInputs:
    """Follows these inputs, and reports changes.

    Args:
        settings: Where they are.
        node: This node's name in the datastore.
        removal_hold: Seconds for which implausible removals are held; 0 holds none.
        datastore: Kind of the datastore; with etcd, one that moved is noticed.

    Attributes:
        on_change: Called once for each turn of the loop in which something changed.
        guard: Has what is held.
    """

    def __init__(
        self,
        settings: KubernetesSettings,
        node: str,
        *,
        removal_hold: int = REMOVAL_HOLD,
        datastore: DatastoreKind = DatastoreKind.NONE,
    ) -> None:
        self.on_change: Callable[[], None] = _nobody
        self.guard = InputRemovals(removal_hold, self._release)
        self._settings = settings
        self._services = ServiceTable(settings.node_name or node)
        self._secrets = SecretTable()
        self._endpoint_folder = EndpointFolder(Path(settings.endpoint_folder))
        self._endpoints: Found = ((), ())
        self._faults: dict[tuple[str, ObjectName], ObjectWarning] = {}
        self._needs = Needs()
        self._handle: asyncio.Handle | None = None
        self._watcher: KubernetesWatcher | None = None
        access = None
        if settings.is_enabled:
            access = find_access(
                settings,
                os.environ,
                is_datastore=datastore is DatastoreKind.KUBERNETES,
            )
        if access is not None:
            self._watcher = KubernetesWatcher(access, settings.namespace, self)
        self._other: OtherDatastore | None = None
        if access is not None and datastore is DatastoreKind.ETCD:
            self._other = OtherDatastore(access)

    @property
    def status(self) -> ApiStatus:
        """The state of the Kubernetes API."""
        if self._watcher is None:
            reason = "no credentials" if self._settings.is_enabled else "switched off"
            return ApiStatus(last_error=reason)
        return self._watcher.status

    def warnings(self) -> tuple[ObjectWarning, ...]:
        """Return the problems with these objects."""
        return (
            *self._services.warnings,
            *self._secrets.warnings,
            *self._endpoints[1],
            *self._faults.values(),
            *(() if self._other is None else self._other.warnings),
        )

    def need(self, needs: Needs) -> None:
        """Follow the inputs that a plan needs."""
        finish(self.need_in_slices(needs))

    def need_in_slices(self, needs: Needs) -> Slices[None]:
        """Follow the inputs that a plan needs, in slices."""
        self._needs = needs
        self.guard.need(frozenset(_password_key(*each) for each in needs.passwords))
        yield from self._services.follow_in_slices(needs.ranges)
        if self._watcher is not None:
            self._watcher.want(Wants(needs.secrets, self._needs_services))

    @property
    def _needs_services(self) -> bool:
        """Whether single services matter: a node that advertises none reads none."""
        return bool(self._needs.ranges) and not self._needs.is_excluded

    def inputs(self) -> SideInputs:
        """Return the present inputs for a plan."""
        services = None
        if self._watcher is not None:
            services = self._services.advertisement(is_excluded=self._needs.is_excluded)
        kept = (each for _, each in self.guard.removals.kept())
        workloads = (each for each in kept if isinstance(each, LocalEndpoint))
        endpoints = (*self._endpoints[0], *workloads)
        return SideInputs(self._secrets.passwords, endpoints, services)

    async def ready(self) -> None:
        """Wait, not for long, until everything requested has been listed once."""
        if self._watcher is not None and not await self._watcher.wait_until_listed(
            START_WAIT
        ):
            _log.warning(
                "no answer from the Kubernetes API within %(seconds)d s: sessions that "
                "need passwords from it cannot come up yet",
                {"event": "kubernetes-unavailable", "seconds": START_WAIT},
            )

    async def follow(self) -> None:
        """Follow local workloads until cancelled."""
        if not self._settings.endpoint_folder:
            return
        await follow_endpoints(self._endpoint_folder, self._found)

    async def follow_other_datastore(self) -> None:
        """Notice a cluster that moves to another datastore, until cancelled."""
        if self._other is not None:
            await self._other.follow(self.changed)

    async def close(self) -> None:
        """Stop following."""
        self.guard.close()
        if self._handle is not None:
            self._handle.cancel()
        if self._watcher is not None:
            await self._watcher.close()

    # -- events -------------------------------------------------------------------

    def put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        """Process a new or changed object of the API; an error does not affect the others."""
        with self._around(kind, name):
            self._put(kind, name, content)

    @contextmanager
    def _around(self, kind: str, name: ObjectName) -> Iterator[None]:
        """Turn an exception about an object into a warning."""
        try:
            yield
        except Exception as error:  # noqa: BLE001  # any JSON may stand there
            text = f"{describe(error)}; keeps its previous state"
            place = f"{kind} {'/'.join(name)}"
            self._faults[kind, name] = ObjectWarning(place, "", text)
            _log.exception(
                "cannot process %(key)s",
                {"event": "object-failed", "key": place, "kind": kind, "reason": text},
            )
        else:
            self._faults.pop((kind, name), None)

    def _put(self, kind: str, name: ObjectName, content: Mapping[str, Any]) -> None:
        if kind == "Secret":
            self._put_secret(name[1], content)
        elif kind == "Service":
            self.guard.put(_service_key(kind, name))
            self._services.put_service(name, content)
        else:
            self.guard.put(_service_key(kind, name))
            self._services.put_slice(name, content)

    def drop(self, kind: str, name: ObjectName) -> None:
        """Process the removal of an object of the API."""
        with self._around(kind, name):
            self._drop(kind, name)

    def _drop(self, kind: str, name: ObjectName) -> None:
        if kind == "Secret":
            self._put_secret(name[1], None)
            return
        key = _service_key(kind, name)
        if not self._needs_services:
            self.guard.forget(key)  # it is not gone, only no longer needed
            self._take_away(key)
        elif self.guard.remove(key):
            self._take_away(key)

    def _put_secret(self, name: str, content: Mapping[str, Any] | None) -> None:
        """Process a Secret, ``None`` if it is gone; passwords that it lacks may stay."""
        secrets = self._secrets
        before = secrets.of(name)
        if content is None:
            secrets.drop(name)
        else:
            secrets.put(name, content)
        now = secrets.of(name)
        for key in now:
            self.guard.put(_password_key(name, key))
        for key in before.keys() - now.keys():
            if not self.guard.remove(_password_key(name, key)):
                secrets.keep(name, key, before[key])

    def _release(self, keys: Iterable[str]) -> None:
        """Apply held removals that take effect now."""
        for key in keys:
            self._take_away(key)
        self.on_change()

    def _take_away(self, key: str) -> None:
        kind, _, place = key.partition("/")
        space, _, name = place.partition("/")
        if kind == SECRETS:
            self._secrets.drop_key(space, name)
        elif kind == SERVICES:
            self._services.drop_service((space, name))
        elif kind == SLICES:
            self._services.drop_slice((space, name))

    def changed(self, *, is_loss: bool = False) -> None:
        """Plan again once the loop has processed what else there is."""
        if is_loss:
            self.guard.doubt()
        if self._handle is None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_soon(self._notify)

    def _notify(self) -> None:
        self._handle = None
        self.on_change()

    def _found(self, found: Found) -> None:
        before, self._endpoints = self._endpoints[0], found
        gone = dict.fromkeys(map(_workload_key, before))
        for each in found[0]:
            self.guard.put(_workload_key(each), each)
            gone.pop(_workload_key(each), None)
        for key in gone:
            self.guard.remove(key)
        self.on_change()


def _password_key(name: str, key: str) -> str:
    return f"{SECRETS}/{name}/{key}"


def _service_key(kind: str, name: ObjectName) -> str:
    return f"{SERVICES if kind == 'Service' else SLICES}/{name[0]}/{name[1]}"


def _workload_key(endpoint: LocalEndpoint) -> str:
    return f"{WORKLOADS}/{endpoint.interface}"


def _nobody() -> None:
    """No callback is set yet."""

"""Which addresses of Kubernetes services a node announces.

Whole ranges are announced by every node, as prefixes that exist in the RIB alone: what
kube-proxy does with their addresses is none of the kernel's routing. Single addresses are
announced by the nodes that have a ready endpoint, where a service's traffic policy is
local, and where a range is a single address or ranges are not announced as a whole.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final, NamedTuple

from bgpd.calico.slices import Slices, finish, pieces
from bgpd.calico.warnings import ObjectWarning

Object = Mapping[str, Any]
ObjectName = tuple[str, str]  # namespace and name
_Network = IPv4Network | IPv6Network

SERVICES: Final = 32  # decided in one slice, some 3 ms
EXCLUDE_LABEL: Final = "node.kubernetes.io/exclude-from-external-load-balancers"
SERVICE_LABEL: Final = "kubernetes.io/service-name"
_TYPES: Final = frozenset({"ClusterIP", "NodePort", "LoadBalancer"})


@dataclass(frozen=True, slots=True)
class ServiceRanges:
    """What BGPConfiguration lets be announced.

    Attributes:
        cluster_ips: Ranges of cluster addresses.
        external_ips: Ranges of external addresses.
        load_balancer_ips: Ranges of load balancers' addresses.
        is_aggregated: Load balancers' ranges are announced as a whole.
    """

    cluster_ips: tuple[str, ...] = ()
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    is_aggregated: bool = True

    def __bool__(self) -> bool:
        """Whether anything may be announced."""
        return bool(self.cluster_ips or self.external_ips or self.load_balancer_ips)


class ServiceAdvertisement(NamedTuple):
    """What follows for one node.

    Attributes:
        announced: Prefixes to originate.
        rejected: Prefixes that never go to the kernel.
    """

    announced: frozenset[str] = frozenset()
    rejected: frozenset[str] = frozenset()


class _Service(NamedTuple):
    """A service as far as announcing needs it."""

    kind: str
    policy: str
    families: tuple[str, ...]
    cluster_ips: tuple[str, ...]
    external_ips: tuple[str, ...]
    balancer_ip: str
    ingress_ips: tuple[str, ...]
    unread: tuple[str, ...]  # what should be addresses

    @property
    def is_local(self) -> bool:
        """Whether traffic stays on the node where it arrives."""
        return self.policy == "Local"


class _Slice(NamedTuple):
    """An endpoint slice: its family, and the nodes of its ready endpoints."""

    service: ObjectName
    family: str
    nodes: tuple[str, ...]


def service_ranges(
    ranges: ServiceRanges, *, is_excluded: bool = False
) -> ServiceAdvertisement:
    """Return what follows from the ranges alone, without any service."""
    single = {
        cidr
        for cidr in (*ranges.external_ips, *ranges.load_balancer_ips)
        if ip_network(cidr).num_addresses == 1
    }
    whole = {*ranges.cluster_ips, *ranges.external_ips}
    if ranges.is_aggregated:
        whole |= set(ranges.load_balancer_ips)
    rejected = frozenset(whole - single)
    return ServiceAdvertisement(frozenset() if is_excluded else rejected, rejected)


class ServiceTable:
    """Services and their endpoints, and what one node announces of them.

    Args:
        node: As Kubernetes knows it.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._services: dict[ObjectName, _Service] = {}
        self._slices: dict[ObjectName, _Slice] = {}
        self._by_service: dict[ObjectName, set[ObjectName]] = {}
        self._warnings: dict[tuple[str, ObjectName], ObjectWarning] = {}
        self._ranges = ServiceRanges()
        self._told: dict[ObjectName, frozenset[str]] = {}
        self._count: Counter[str] = Counter()
        self._answers: dict[bool, ServiceAdvertisement] = {}  # until something changes

    @property
    def warnings(self) -> tuple[ObjectWarning, ...]:
        """What is wrong with objects."""
        return tuple(self._warnings.values())

    def follow(self, ranges: ServiceRanges) -> None:
        """Switch to a new set of service ranges."""
        finish(self.follow_in_slices(ranges))

    def follow_in_slices(self, ranges: ServiceRanges) -> Slices[None]:
        """Switch to a new set of service ranges in slices; services may change meanwhile."""
        if ranges == self._ranges:
            return
        self._ranges = ranges
        self._answers.clear()
        for names in pieces(tuple(self._services), SERVICES):
            for name in names:
                self._decide(name)
            yield

    def put_service(self, name: ObjectName, content: Object) -> None:
        """Take a new or changed service; one that cannot be read keeps its previous state."""
        service = self._read("Service", name, content, _read_service)
        if isinstance(service, _Service):
            if service.unread:
                text = f"not addresses: {', '.join(service.unread)}; ignored"
                key = f"Service {'/'.join(name)}"
                self._warnings["Service", name] = ObjectWarning(key, "", text)
            self._services[name] = service
            self._decide(name)

    def drop_service(self, name: ObjectName) -> None:
        """A service is gone."""
        self._warnings.pop(("Service", name), None)
        if self._services.pop(name, None) is not None:
            self._decide(name)

    def put_slice(self, name: ObjectName, content: Object) -> None:
        """Take a new or changed endpoint slice."""
        found = self._read("EndpointSlice", name, content, _read_slice)
        if not isinstance(found, _Slice):
            return
        before = self._slices.get(name)
        if before is not None and before.service != found.service:
            self.drop_slice(name)
        self._slices[name] = found
        self._by_service.setdefault(found.service, set()).add(name)
        self._decide(found.service)

    def drop_slice(self, name: ObjectName) -> None:
        """An endpoint slice is gone."""
        self._warnings.pop(("EndpointSlice", name), None)
        gone = self._slices.pop(name, None)
        if gone is not None:
            names = self._by_service[gone.service]
            names.discard(name)
            if not names:
                del self._by_service[gone.service]
            self._decide(gone.service)

    def advertisement(self, *, is_excluded: bool = False) -> ServiceAdvertisement:
        """Return what the node announces now; nothing where it is excluded.

        The same object as before, while nothing that is announced has changed.
        """
        answer = self._answers.get(is_excluded)
        if answer is None:
            answer = service_ranges(self._ranges, is_excluded=is_excluded)
            if not is_excluded:
                answer = answer._replace(
                    announced=answer.announced | self._count.keys()
                )
            self._answers[is_excluded] = answer
        return answer

    def _read(self, kind: str, name: ObjectName, content: Object, read: Any) -> Any:  # noqa: ANN401  # one of two readers
        try:
            found = read(name, content)
        except Exception as error:  # noqa: BLE001  # any JSON may stand there
            text = f"unreadable: {error}"
            key = f"{kind} {'/'.join(name)}"
            self._warnings[kind, name] = ObjectWarning(key, "", text)
            return None
        self._warnings.pop((kind, name), None)
        return found

    def _decide(self, name: ObjectName) -> None:
        service = self._services.get(name)
        slices = [self._slices[each] for each in self._by_service.get(name, ())]
        told: frozenset[str] = frozenset()
        if service is not None and _is_announced(
            service, slices, self._ranges, self._node
        ):
            told = frozenset(_prefixes(service, self._ranges))
        before = self._told.pop(name, frozenset())
        if before != told:
            self._answers.clear()
        self._count.subtract(before - told)
        self._count.update(told - before)
        for prefix in before - told:
            if not self._count[prefix]:
                del self._count[prefix]
        if told:
            self._told[name] = told


def advertise(
    ranges: ServiceRanges,
    services: Iterable[Object],
    endpoint_slices: Iterable[Object],
    node: str,
    *,
    is_excluded: bool,
) -> ServiceAdvertisement:
    """Return what ``node`` announces of a whole cluster's services at once."""
    table = ServiceTable(node)
    table.follow(ranges)
    for content in services:
        table.put_service(object_name(content), content)
    for content in endpoint_slices:
        table.put_slice(object_name(content), content)
    return table.advertisement(is_excluded=is_excluded)


def object_name(content: Object) -> ObjectName:
    """Return namespace and name of a Kubernetes object."""
    metadata = content.get("metadata")
    if not isinstance(metadata, Mapping):
        metadata = {}
    return str(metadata.get("namespace") or "default"), str(metadata.get("name") or "")


def _read_service(_: ObjectName, content: Object) -> _Service:
    spec = content.get("spec") or {}
    status = content.get("status") or {}
    ingress = (status.get("loadBalancer") or {}).get("ingress") or []
    cluster_ip = spec.get("clusterIP") or ""
    cluster_ips = spec.get("clusterIPs") or ([cluster_ip] if cluster_ip else [])
    has_address = bool(cluster_ip) and cluster_ip != "None"
    unread: list[str] = []
    return _Service(
        kind=str(spec.get("type") or "ClusterIP"),
        policy=str(spec.get("externalTrafficPolicy") or ""),
        families=tuple(spec.get("ipFamilies") or ()),
        cluster_ips=_addresses(cluster_ips, unread) if has_address else (),
        external_ips=_addresses(spec.get("externalIPs") or (), unread),
        balancer_ip=str(spec.get("loadBalancerIP") or ""),
        ingress_ips=_addresses(
            (each["ip"] for each in ingress if each.get("ip")), unread
        ),
        unread=tuple(unread),
    )


def _read_slice(name: ObjectName, content: Object) -> _Slice:
    labels = (content.get("metadata") or {}).get("labels") or {}
    nodes = [
        str(endpoint.get("nodeName") or "")
        for endpoint in content.get("endpoints") or ()
        if (endpoint.get("conditions") or {}).get("ready") is not False
    ]
    service = str(labels.get(SERVICE_LABEL) or "")
    family = str(content.get("addressType") or "")
    return _Slice((name[0], service), family, tuple(nodes))


def _addresses(texts: Iterable[object], unread: list[str]) -> tuple[str, ...]:
    found = []
    for text in texts:
        try:
            address = ip_address(str(text))
        except ValueError:
            unread.append(repr(text))
            continue
        if "%" in str(address):  # a zone means something on one node alone
            unread.append(repr(text))
        else:
            found.append(str(address))
    return tuple(found)


def _is_announced(
    service: _Service, slices: Iterable[_Slice], ranges: ServiceRanges, node: str
) -> bool:
    if service.kind not in _TYPES or not service.cluster_ips:
        return False
    if service.policy == "Cluster" and _has_single(service, ranges):
        return True
    if not service.is_local and ranges.is_aggregated:
        return False  # its addresses are inside what is announced as a whole
    ready = [each for each in slices if each.family in service.families]
    if service.is_local:
        return any(node in each.nodes for each in ready)
    return any(each.nodes for each in ready)


def _has_single(service: _Service, ranges: ServiceRanges) -> bool:
    """Return whether an address of it stands in the ranges by itself."""
    balancers = (service.balancer_ip, *service.ingress_ips)
    if service.kind == "LoadBalancer" and any(
        _is_inside(address, ranges.load_balancer_ips, is_single=True)
        for address in balancers
    ):
        return True
    return any(
        _is_inside(address, ranges.external_ips, is_single=True)
        for address in service.external_ips
    )


def _prefixes(service: _Service, ranges: ServiceRanges) -> Iterable[str]:
    addresses = list(service.cluster_ips) if ranges.cluster_ips else []
    for some, cidrs in (
        (service.external_ips, ranges.external_ips),
        (service.ingress_ips, ranges.load_balancer_ips),
    ):
        addresses += [address for address in some if _is_inside(address, cidrs)]
    return (f"{address}/{128 if ':' in address else 32}" for address in addresses)


def _is_inside(address: str, cidrs: Iterable[str], *, is_single: bool = False) -> bool:
    try:
        given = ip_address(address)
    except ValueError:
        return False
    networks: Iterable[_Network] = map(ip_network, cidrs)
    return any(
        given in network and (not is_single or network.num_addresses == 1)
        for network in networks
    )

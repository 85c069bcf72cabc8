"""Kubernetes' API as far as a node's plan needs it: Secrets, Services, EndpointSlices."""

from bgpd.datastore.kubernetes.access import Access, ApiStatus, find_access
from bgpd.datastore.kubernetes.collection import Receiver
from bgpd.datastore.kubernetes.watcher import KubernetesWatcher, Wants

__all__ = [
    "Access",
    "ApiStatus",
    "KubernetesWatcher",
    "Receiver",
    "Wants",
    "find_access",
]

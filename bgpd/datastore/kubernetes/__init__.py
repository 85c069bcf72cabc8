"""Kubernetes' API: Calico's datastore, and Secrets, Services and EndpointSlices."""

from bgpd.datastore.kubernetes.access import Access, ApiStatus, find_access
from bgpd.datastore.kubernetes.collection import Receiver
from bgpd.datastore.kubernetes.source import KubernetesDatastore
from bgpd.datastore.kubernetes.watcher import KubernetesWatcher, Wants

__all__ = [
    "Access",
    "ApiStatus",
    "KubernetesDatastore",
    "KubernetesWatcher",
    "Receiver",
    "Wants",
    "find_access",
]

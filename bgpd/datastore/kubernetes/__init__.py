"""Kubernetes' API: Calico's datastore, and Secrets, Services and EndpointSlices."""

from bgpd.datastore.kubernetes.access import Access, ApiStatus, find_access
from bgpd.datastore.kubernetes.collection import Receiver
from bgpd.datastore.kubernetes.errors import ApiError
from bgpd.datastore.kubernetes.groups import is_ready
from bgpd.datastore.kubernetes.source import KubernetesDatastore
from bgpd.datastore.kubernetes.watcher import KubernetesWatcher, Wants

__all__ = [
    "Access",
    "ApiError",
    "ApiStatus",
    "KubernetesDatastore",
    "KubernetesWatcher",
    "Receiver",
    "Wants",
    "find_access",
    "is_ready",
]

"""Which objects of Kubernetes' API are followed, and how to request them. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

JSON: Final = "application/json"
_METADATA_LIST: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{JSON}"
_METADATA: Final = f"{JSON};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,{JSON}"


class Query(NamedTuple):
    """One collection, or a part of it.

    Attributes:
        kind: Of its objects.
        path: Below the server's address.
        field_selector: Narrows it by name.
        label_selector: Narrows it by labels.
        has_metadata_alone: Objects come without spec and status, which of Nodes saves nine
            tenths of the octets.
        reads_cache: Lists come from the server's cache, as one answer: what thousands of
            nodes ask for must not be read from etcd each time. The others come in
            pieces, each of them read there.
    """

    kind: str
    path: str
    field_selector: str = ""
    label_selector: str = ""
    has_metadata_alone: bool = False
    reads_cache: bool = False

    def __str__(self) -> str:
        """Return it for people."""
        name = self.field_selector.removeprefix("metadata.name=")
        return f"{self.kind} {name}".rstrip()

    @property
    def selectors(self) -> dict[str, str]:
        """Parameters of each request."""
        given = {
            "fieldSelector": self.field_selector,
            "labelSelector": self.label_selector,
        }
        return {name: value for name, value in given.items() if value}

    @property
    def list_headers(self) -> Mapping[str, str]:
        """Headers of a list."""
        return {"Accept": _METADATA_LIST if self.has_metadata_alone else JSON}

    @property
    def watch_headers(self) -> Mapping[str, str]:
        """Headers of a watch."""
        return {"Accept": _METADATA if self.has_metadata_alone else JSON}

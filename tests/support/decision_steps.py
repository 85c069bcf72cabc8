"""For each step of the decision process, two paths that it tells apart."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from rib.decision import Reason
from rib.path import Path, SourceKind
from tests.support.routes import a_path, a_source, some_attributes

LLGR_STALE = 0xFFFF0006
EBGP, IBGP = SourceKind.EBGP, SourceKind.IBGP


def winner(**changes: Any) -> Path:
    return a_path(
        some_attributes(
            **{
                "as_path": "1 2 3",
                "origin": 2,
                "local_pref": 100,
                "originator_id": 9,
                "cluster_list": (1, 2),
                **changes.pop("attributes", {}),
            }
        ),
        source=changes.pop("source", None) or a_source("w", IBGP, address="10.0.0.9"),
        **{"metric": 9, **changes},
    )


def loser(**changes: Any) -> Path:
    return a_path(
        some_attributes(
            **{
                "as_path": "1 2 3",
                "origin": 2,
                "local_pref": 100,
                "originator_id": 9,
                "cluster_list": (1, 2),
                **changes.pop("attributes", {}),
            }
        ),
        source=changes.pop("source", None) or a_source("l", IBGP, address="10.0.0.9"),
        **{"metric": 9, **changes},
    )


STEPS: Final[Mapping[Reason, tuple[Path, Path]]] = MappingProxyType(
    {
        Reason.LLGR_STALE: (
            winner(),
            loser(attributes={"communities": (LLGR_STALE,)}, weight=1000),
        ),
        Reason.WEIGHT: (
            winner(weight=1),
            loser(
                source=a_source("l", SourceKind.LOCAL), attributes={"local_pref": 500}
            ),
        ),
        Reason.LOCAL_ORIGIN: (
            winner(source=a_source("w", SourceKind.LOCAL)),
            loser(attributes={"local_pref": 500}),
        ),
        Reason.LOCAL_PREF: (
            winner(attributes={"local_pref": 101}),
            loser(attributes={"as_path": "1"}),
        ),
        Reason.AS_PATH_LEN: (
            winner(attributes={"as_path": "1 2"}),
            loser(attributes={"origin": 0}),
        ),
        Reason.ORIGIN: (
            winner(attributes={"origin": 0, "med": 9}),
            loser(attributes={"origin": 1, "med": 0}),
        ),
        Reason.MED: (
            winner(attributes={"med": 1}),
            loser(attributes={"med": 2}, source=a_source("l", EBGP)),
        ),
        Reason.IBGP: (
            winner(source=a_source("w", EBGP)),
            loser(metric=0),
        ),
        Reason.INTERIOR_METRIC: (
            winner(metric=8),
            loser(attributes={"originator_id": 1}),
        ),
        Reason.ROUTER_ID: (
            winner(attributes={"originator_id": 8}),
            loser(attributes={"cluster_list": ()}),
        ),
        Reason.CLUSTER_LIST_LEN: (
            winner(attributes={"cluster_list": (1,)}),
            loser(source=a_source("l", address="10.0.0.1")),
        ),
        Reason.PEER_ADDRESS: (
            winner(source=a_source("w", address="10.0.0.8"), path_id=7),
            loser(path_id=1),
        ),
        Reason.PATH_ID: (
            winner(source=a_source("w", address="10.0.0.8"), path_id=1),
            loser(source=a_source("l", address="10.0.0.8"), path_id=2),
        ),
        Reason.SOURCE_NAME: (
            winner(source=a_source("a")),
            loser(source=a_source("b")),
        ),
    }
)
"""Reason -> a winner that loses every later step, and a loser that wins them all."""

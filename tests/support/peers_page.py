"""The page about what works beside other makers' routers, from the table of the tests."""

from collections.abc import Iterator
from typing import Final

from tests.support.peer_lab import FEATURES, VERSIONS, Feature

_TITLES: Final = {
    "bird": "BIRD 2",
    "bird3": "BIRD 3",
    "frr": "FRR",
    "gobgp": "GoBGP",
    "openbgpd": "OpenBGPD",
}
_SUITES: Final = ("bookworm", "trixie", "sid")
_HEAD: Final = """# Beside other makers' routers

<!-- written by `make docs` -->

What a test proves beside each maker's router, one lab per router with a session for each feature. A
cell names the test of `tests/interop/test_peers.py`; in brackets it stands for the router, as in
`test_{test}[{peer}]`. Where a maker lacks the feature, the cell says so.
"""
_TAIL: Final = """
Other tests beside them go into single features: [testing](testing.md).

## Versions tried

`make test` tries those of Debian trixie. Others by hand: `.ci/peers sid` unpacks them, and
`PEERS_SUITES="bookworm sid" make test PYTEST_FLAGS="-q tests/interop/test_peers.py"` tries them and the
installed ones of Debian bookworm.
"""


def peers_page() -> str:
    """Return ``docs/peers.md``."""
    head = _HEAD.format(test=FEATURES[0].test, peer="bird-trixie")
    return "\n".join([head, *_matrix(), _TAIL, *_versions(), ""])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _matrix() -> Iterator[str]:
    yield _row("feature", "RFC", *(_TITLES[kind] for kind in VERSIONS))
    yield "|---|---|" + "---|" * len(VERSIONS)
    for feature in FEATURES:
        cells = (_cell(feature, kind) for kind in VERSIONS)
        yield _row(feature.title, feature.rfc, *cells)


def _cell(feature: Feature, kind: str) -> str:
    return feature.lacks.get(kind) or f"`{feature.test}`"


def _versions() -> Iterator[str]:
    yield _row("", *(_TITLES[kind] for kind in VERSIONS))
    yield "|---|" + "---|" * len(VERSIONS)
    for suite in _SUITES:
        found = (versions.get(suite, "") for versions in VERSIONS.values())
        yield _row(f"Debian {suite}", *found)

"""Pages of the documentation that are written by a program; ``make docs`` runs this."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bgpd.session import diagram
from tests.support import json_page
from tests.support.configuration_page import configuration_page
from tests.support.costs_page import costs_page
from tests.support.examples_page import examples_page
from tests.support.log_events_page import log_events_page
from tests.support.members_page import members_page
from tests.support.metrics_page import metrics_page
from tests.support.peers_page import peers_page
from tests.support.rfc_page import rfc_page

ROOT: Final = Path(__file__).parents[2]

PAGES: Final[Mapping[str, Callable[[], str]]] = MappingProxyType(
    {
        "docs/configuration.md": configuration_page,
        "docs/costs.md": costs_page,
        "docs/examples.md": examples_page,
        "docs/fsm.md": diagram.render,
        "docs/json.md": json_page.page,
        "docs/log-events.md": log_events_page,
        "docs/members.md": members_page,
        "docs/metrics.md": metrics_page,
        "docs/peers.md": peers_page,
        "docs/rfc-compliance.md": rfc_page,
    }
)


def main() -> None:
    """Write every page again."""
    for name, page in PAGES.items():
        (ROOT / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()

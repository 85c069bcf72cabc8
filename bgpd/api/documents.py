"""Paths that answer something other than a command's objects.

/metrics               Prometheus' text
/healthz               200 while the event loop serves in time: restart the process otherwise
/readyz                200 once everything that was waited for at the start is there
/api/v1/openapi.json   every command and every field of its answer
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from bgpd.api.commands import PREFIX
from bgpd.api.health import Check, HealthSource, report
from bgpd.api.late_import import late_import
from bgpd.api.paths import Document, Made
from bgpd.api.protocol import Rights

EXPOSITION: Final = "text/plain; version=0.0.4; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
OK: Final = 200
UNAVAILABLE: Final = 503

_Texts = Mapping[str, str]


def health_documents(
    source: Callable[[], Awaitable[HealthSource]], metrics_rights: Rights = Rights.NONE
) -> tuple[Document, ...]:
    """Return metrics and health; a kubelet has no token, so that its probes need none.

    Args:
        source: Returns what they tell; asked at the first request.
        metrics_rights: What a client needs for metrics, which name peers.
    """

    async def metrics(*_: _Texts) -> Made:
        module = await late_import("bgpd.api.metrics")
        return Made(EXPOSITION, module.render((await source()).figures()))

    async def live(*_: _Texts) -> Made:
        return _answer((await source()).liveness())

    async def ready(*_: _Texts) -> Made:
        return _answer((await source()).readiness())

    return (
        Document("/metrics", metrics, metrics_rights),
        Document("/healthz", live, Rights.NONE),
        Document("/readyz", ready, Rights.NONE),
    )


def _answer(checks: Iterable[Check]) -> Made:
    is_met, text = report(checks)
    return Made(TEXT, (text.encode(),), OK if is_met else UNAVAILABLE)


async def _openapi(*_: _Texts) -> Made:
    module = await late_import("bgpd.api.openapi")
    return Made("application/json", (module.document(),))


API_DOCUMENTS: Final = (Document(f"{PREFIX}/openapi.json", _openapi),)
"""Those of the API itself."""

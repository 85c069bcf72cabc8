"""The paths of birdwatcher's interface, for Alice-LG; ``bgpd.show.bird.birdwatcher`` answers them."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final

from bgpd.api.late_import import late_import
from bgpd.api.paths import Foreign

PREFIX: Final = "/birdwatcher"

# Path and the query behind BIRD's ``show route``; braces are arguments of path or query.
ROUTES: Final[Mapping[str, str]] = {
    "/routes/protocol/{protocol}": "all protocol '{protocol}'",
    "/routes/peer/{peer}": "all where from={peer}",
    "/routes/table/{table}": "all table '{table}'",
    "/routes/table/{table}/filtered": "all filtered table '{table}'",
    "/routes/table/{table}/peer/{peer}": "table '{table}' all where from={peer}",
    "/routes/count/protocol/{protocol}": "protocol '{protocol}' count",
    "/routes/count/table/{table}": "table '{table}' count",
    "/routes/count/primary/{protocol}": "primary protocol '{protocol}' count",
    "/routes/filtered/{protocol}": "all filtered protocol '{protocol}'",
    "/routes/export/{protocol}": "all export '{protocol}'",
    "/routes/noexport/{protocol}": "all noexport '{protocol}'",
    "/routes/prefix": "{prefix} all",
    "/route/net/{net}": "for {net} all",
    "/route/net/{net}/table/{table}": "for {net} table '{table}' all",
    "/route/net/{net}/mask/{mask}": "for {net}/{mask} all",
    "/route/net/{net}/mask/{mask}/table/{table}": "for {net}/{mask} table '{table}' all",
    "/routes/pipe/filtered": "table '{table}' noexport '{pipe}' all",
    "/routes/pipe/filtered/count": "table '{table}' noexport '{pipe}' "
    "where from='{address}' count",
}
OTHERS: Final = (
    "/status",
    "/protocols",
    "/protocols/bgp",
    "/protocols/short",
    "/symbols",
    "/symbols/tables",
    "/symbols/protocols",
)


def birdwatcher_paths(view: Callable[[], Awaitable[object]]) -> tuple[Foreign, ...]:
    """Return the paths.

    Args:
        view: Returns the daemon, for ``bgpd.show``; raises ``ControlError`` while there is none.
    """

    async def make(path: str, arguments: Mapping[str, str]) -> Iterable[bytes | None]:
        module = await late_import("bgpd.show.bird.birdwatcher")
        pieces: Iterable[bytes | None] = module.answer(await view(), path, arguments)
        return pieces

    return tuple(
        Foreign(f"{PREFIX}{path}", partial(make, path)) for path in (*OTHERS, *ROUTES)
    )

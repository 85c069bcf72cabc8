"""``dump``: the tables as MRT, for programs that read it."""

from base64 import b64encode
from collections.abc import Iterator

from bgpd.api.protocol import Arguments, ControlError, Row
from bgpd.show.state import DaemonView
from rib.family import FAMILIES_BY_NAME


def dump(view: DaemonView, arguments: Arguments) -> Iterator[Row | None]:
    """Return records, some in each row, of the tables as they are now.

    Raises:
        ControlError: ``too-many-peers``.
    """
    from bgpd.evidence.dumps import dump_of  # noqa: PLC0415  # for this command alone
    from bgpd.evidence.table_dump import TooManyPeersError  # noqa: PLC0415

    name = arguments.get("family")
    family = None
    if name is not None:
        family = FAMILIES_BY_NAME[f"{str(name).removesuffix('-unicast')}-unicast"]
    try:
        made = dump_of(view.speaker, view.process.own_as(), family)
    except TooManyPeersError as error:
        raise ControlError("too-many-peers", str(error)) from error
    return (
        None
        if chunk is None
        else {
            "records": chunk.records,
            "octets": b64encode(chunk.octets).decode("ascii"),
        }
        for chunk in made.chunks()
    )

"""A peer's effective options, with groups and defaults. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bgpd.config.model import DaemonConfig
from bgpd.config.peers import Peer, PeerGroup, PeerRange, SessionOptions
from bgpd.config.schema import keys_of
from bgpd.session.zones import with_zone
from bgpd.texts.tree import KeyPath


@dataclass(frozen=True, slots=True)
class Option:
    """One option in effect.

    Attributes:
        value: What it is.
        path: Where it was written.
    """

    value: object
    path: KeyPath


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A peer or range with the options in effect.

    Attributes:
        path: Where it stands.
        model: The peer or range as written.
        options: By key: the peer's own, else its group's, else the defaults'.
    """

    path: KeyPath
    model: Peer | PeerRange
    options: Mapping[str, Option]

    @property
    def where(self) -> str:
        """The address of a peer, the prefix of a range; link-local ones with their link."""
        model, interface = self.model, self.get("interface")
        text = model.address if isinstance(model, Peer) else model.prefix
        return with_zone(text, interface if isinstance(interface, str) else "")

    @property
    def name(self) -> str:
        """The configured name, else the address or prefix."""
        return self.model.name or self.where

    def get(self, key: str) -> object:
        """Return the option's value; ``None`` where nothing was written anywhere."""
        option = self.options.get(key)
        return None if option is None else option.value

    def path_of(self, key: str) -> KeyPath:
        """Return where the option was written, else the neighbour itself."""
        option = self.options.get(key)
        return self.path if option is None else option.path


def neighbours(config: DaemonConfig) -> Iterator[Neighbour]:
    """Yield the peers, then the ranges, each with its options in effect."""
    entries: tuple[tuple[str, Sequence[Peer | PeerRange]], ...] = (
        ("peers", config.peers),
        ("ranges", config.ranges),
    )
    for section, models in entries:
        for index, model in enumerate(models):
            path = (section, index)
            yield Neighbour(path, model, _in_effect(config, model, path))


def _in_effect(
    config: DaemonConfig, model: Peer | PeerRange, path: KeyPath
) -> dict[str, Option]:
    layers: list[tuple[SessionOptions, KeyPath]] = [
        (config.bgp.defaults, ("bgp", "defaults"))
    ]
    group = config.peer_groups.get(model.group or "")
    if group is not None:
        layers.append((group, ("peer_groups", model.group or "")))
    layers.append((model, path))
    options: dict[str, Option] = {}
    for layer, at in layers:
        written = written_options(layer, at)
        # A nearer password of either form replaces a farther one of either form.
        if written.keys() & {"password", "password_file"}:
            options.pop("password", None)
            options.pop("password_file", None)
        options.update(written)
    return options


def written_options(layer: SessionOptions, at: KeyPath) -> dict[str, Option]:
    """Return the options that one section itself sets."""
    return {
        key: Option(getattr(layer, field), (*at, key))
        for key, field in _OPTION_FIELDS.items()
        if getattr(layer, field, None) is not None
    }


_OPTION_FIELDS = {
    key: next(name for name, each in PeerGroup.model_fields.items() if each is field)
    for key, field in keys_of(PeerGroup).items()
}

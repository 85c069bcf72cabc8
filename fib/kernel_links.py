"""Network devices by name and by number, as the kernel tells of them. Pure."""

from fib.netlink.rtnetlink import LinkMessage


class Links:
    """Devices by name and number, as last reported by the kernel."""

    def __init__(self) -> None:
        self.by_index: dict[int, LinkMessage] = {}
        self.by_name: dict[str, LinkMessage] = {}

    def update(self, link: LinkMessage) -> bool:
        """Take in a new or changed device; say whether its name or state changed."""
        known = self.by_index.get(link.link)
        if known is not None and self.by_name.get(known.name) is known:
            del self.by_name[known.name]
        self.by_index[link.link] = link
        self.by_name[link.name] = link
        return known != link

    def remove(self, link: LinkMessage) -> None:
        """Take out a device."""
        known = self.by_index.pop(link.link, None)
        if known is not None and self.by_name.get(known.name) is known:
            del self.by_name[known.name]

"""Values of a YAML text with their places. Pure."""

from collections.abc import Iterator

KeyPath = tuple[str | int, ...]


class Node:
    """A value and its place.

    Attributes:
        line: Counted from 1.
        column: Counted from 1.
        nodes: Values in it, itself and what its aliases stand for among them.
        octets: Characters of all its scalars, counted likewise.
        height: Levels of collections in it, its own among them.
    """

    __slots__ = ("column", "height", "line", "nodes", "octets")

    def __init__(self, line: int, column: int) -> None:
        self.line = line
        self.column = column
        self.nodes = 1
        self.octets = 0
        self.height = 1


class ScalarNode(Node):
    """A text, number, boolean or null.

    Attributes:
        text: As written, without quotes.
        value: What it means.
    """

    __slots__ = ("text", "value")

    def __init__(self, line: int, column: int, text: str, value: object) -> None:
        super().__init__(line, column)
        self.octets = len(text)
        self.height = 0
        self.text = text
        self.value = value


class ListNode(Node):
    """A list."""

    __slots__ = ("items",)

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.items: list[Node] = []


class MapNode(Node):
    """A mapping.

    Attributes:
        pairs: Its own keys and values, in order; a key may be there twice.
        merged: Mappings that ``<<`` names; of two that have a key, the first counts, and
            ``pairs`` before both.
    """

    __slots__ = ("merged", "pairs")

    def __init__(self, line: int, column: int) -> None:
        super().__init__(line, column)
        self.pairs: list[tuple[ScalarNode, Node]] = []
        self.merged: list[MapNode] = []

    def all_pairs(self) -> Iterator[tuple[ScalarNode, Node]]:
        """Yield merged pairs, then its own: of a key that comes again, the last counts."""
        for node in reversed(self.merged):
            yield from node.all_pairs()
        yield from self.pairs

    def find(self, key: str) -> tuple[ScalarNode, Node] | None:
        """Return the pair of a key that takes effect: the last one."""
        for pair in reversed(self.pairs):
            if pair[0].text == key:
                return pair
        for node in self.merged:
            if (found := node.find(key)) is not None:
                return found
        return None

    def doubled(self) -> Iterator[tuple[ScalarNode, ScalarNode]]:
        """Yield each key that its own pairs have again, and where it stood first."""
        first: dict[str, ScalarNode] = {}
        for key, _ in self.pairs:
            earlier = first.setdefault(key.text, key)
            if earlier is not key:
                yield key, earlier


def plain(node: Node) -> object:
    """Return ``dict``, ``list`` and scalars; each alias becomes a copy of its own."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    assert isinstance(node, MapNode)  # noqa: S101  # there are three kinds
    return {key.text: plain(value) for key, value in node.all_pairs()}


def doubled_keys(
    root: Node,
) -> Iterator[tuple[KeyPath, ScalarNode, ScalarNode]]:
    """Yield the path of each duplicate key, the key, and its first place."""
    seen: set[int] = set()
    stack: list[tuple[Node, KeyPath]] = [(root, ())]
    while stack:
        node, path = stack.pop()
        if isinstance(node, ScalarNode) or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, ListNode):
            stack.extend((item, (*path, i)) for i, item in enumerate(node.items))
        elif isinstance(node, MapNode):
            for key, earlier in node.doubled():
                yield (*path, key.text), key, earlier
            stack.extend((value, (*path, key.text)) for key, value in node.pairs)


def place_of(root: Node, path: KeyPath, *, of_key: bool = False) -> Node:
    """Return the place of the value at ``path``, or of the nearest one above it that has a place.

    Args:
        root: The whole.
        path: Keys and indices.
        of_key: Return the key of the last mapping, not its value.
    """
    node = place = root
    for part in path:
        if isinstance(node, ListNode) and isinstance(part, int):
            if not 0 <= part < len(node.items):
                break
            node = place = node.items[part]
        elif isinstance(node, MapNode) and (pair := node.find(str(part))) is not None:
            place = pair[0] if of_key else pair[1]
            node = pair[1]
        else:
            break
    return place

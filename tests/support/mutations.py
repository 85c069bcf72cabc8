"""Texts that are nearly right: what editors, programs and attackers make of sound ones.

Everything follows from the seed. A mutation is a function of a random source and the sound
octets; those that know the values mutate them and encode them again.
"""

import copy
import json
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import yaml

Mutation = Callable[[random.Random, bytes], bytes]

TAGS: Final = (
    *("!!bool maybe", "!!bool 'true'", "!!int x", "!!int '7'", "!!float x"),
    *("!!timestamp x", "!!timestamp monday", "!!timestamp 2001-01-01", "!!null x"),
    *("!!binary '='", "!!binary x", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]"),
    *("!!python/name:os.system x", "!!python/object/apply:os.abort []", "!!str"),
    *(
        "!foo bar",
        "!foo [a]",
        "!<tag:yaml.org,2002:value> x",
        "!!seq {a: 1}",
        "!!map []",
    ),
)
NUMBERS: Final = (
    *(
        "9" * 5_000,
        "-" + "9" * 41,
        "0x" + "f" * 3_000,
        "1e999",
        "-1e999",
        ".inf",
        ".nan",
    ),
    *("NaN", "Infinity", "4294967296", "18446744073709551616", "-1", "0", "65536"),
    *("1.7976931348623157e+308", "0b1", "0o17", "017", "1_000", "1:30", "65000.10"),
)
VALUES: Final[Sequence[Any]] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**64, -(2**63), 10**30, 1.5, 1e308),
    *("", " ", "x", "\u00e9\u4e2d", "\u202e", "a\tb", "a\nb", "\x7f", "x" * 5_000),
    *("::1", "fe80::1%eth0", "::ffff:10.0.0.1", "10.0.0.1", "10.0.0.1/24", "0.0.0.0/0"),
    *("10.0.0.1/33", "::/129", "999.1.1.1", "all()", "a == 'b'", "has(x", "!", "1h"),
    *([], {}, [[]], [{}], {"": ""}, [None], {"a": None}, {"a": {"b": {"c": []}}}),
    *(["x"] * 300, {f"k{n}": n for n in range(300)}, "64512", "4294967296", "1.10"),
)


# -- octets -------------------------------------------------------------------------------


def flip(rng: random.Random, octets: bytes) -> bytes:
    """Change a few bits."""
    found = bytearray(octets)
    for _ in range(rng.randint(1, 8)):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def replace_octets(rng: random.Random, octets: bytes) -> bytes:
    """Replace a few octets with random ones."""
    at = rng.randrange(len(octets))
    count = rng.randint(1, 12)
    return octets[:at] + rng.randbytes(count) + octets[at + count :]


def cut(rng: random.Random, octets: bytes) -> bytes:
    """End somewhere."""
    return octets[: rng.randrange(len(octets))]


def cut_out(rng: random.Random, octets: bytes) -> bytes:
    """Leave something out."""
    first, last = sorted(rng.sample(range(len(octets)), 2))
    return octets[:first] + octets[last:]


def insert_nul(rng: random.Random, octets: bytes) -> bytes:
    """Insert what no text has."""
    what = rng.choice(
        (b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe9", b"\x1b")
    )
    at = rng.randrange(len(octets))
    return octets[:at] + what * rng.randint(1, 3) + octets[at:]


def mark(rng: random.Random, octets: bytes) -> bytes:
    """Begin with a byte order mark, or be of another encoding."""
    encoding = rng.choice(("utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-7"))
    return octets.decode().encode(encoding)


def line_ends(rng: random.Random, octets: bytes) -> bytes:
    """End lines in another way."""
    return octets.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\x85", b"\n\n", b" ")))


def tabs(rng: random.Random, octets: bytes) -> bytes:
    """Indent in another way."""
    return octets.replace(b"  ", rng.choice((b"\t", b" ", b"   ")))


# -- YAML ---------------------------------------------------------------------------------


def _places(octets: bytes) -> list[int]:
    """Return where values begin."""
    return [
        at + 2 for at in range(len(octets) - 2) if octets[at : at + 2] == b": "
    ] or [0]


def _insert(rng: random.Random, octets: bytes, text: str) -> bytes:
    at = rng.choice(_places(octets))
    return octets[:at] + text.encode() + b" " + octets[at:]


def _put(rng: random.Random, octets: bytes, text: str) -> bytes:
    """Replace a value with text, to the end of its line."""
    at = rng.choice(_places(octets))
    end = octets.find(b"\n", at)
    return octets[:at] + text.encode() + (octets[end:] if end >= 0 else b"")


def tag(rng: random.Random, octets: bytes) -> bytes:
    """Put an explicit tag before a value, or a tagged value in its place."""
    text = rng.choice(TAGS)
    return rng.choice((_put, _insert))(rng, octets, text)


def number(rng: random.Random, octets: bytes) -> bytes:
    """Put a number that is too large, or no number, in a value's place."""
    return _put(rng, octets, rng.choice(NUMBERS))


def alias(rng: random.Random, octets: bytes) -> bytes:
    """Name a value, and use it elsewhere, in itself or where nothing has the name."""
    text = _insert(rng, octets, "&a")
    return _put(rng, text, rng.choice(("*a", "*b", "[*a, *a]", "{<<: *a}", "&a *a")))


def bomb(rng: random.Random, octets: bytes) -> bytes:
    """Add aliases of aliases, or merges of merges."""
    width, levels = rng.randint(2, 12), rng.randint(3, 60)
    lines = [f"x0: &x0 [{', '.join('y' * width)}]"]
    each = "[{}]"
    if rng.random() < 0.4:
        lines, each = ["x0: &x0 {a: 1, b: 2, c: 3}"], "{{<<: [{}]}}"
    for level in range(1, levels):
        inner = ", ".join([f"*x{level - 1}"] * width)
        lines.append(f"x{level}: &x{level} " + each.format(inner))
    text = "\n".join(lines).encode() + b"\n"
    return text + octets if rng.random() < 0.5 else octets + text


def deep(rng: random.Random, octets: bytes) -> bytes:
    """Nest deeply."""
    levels = rng.choice((10, 33, 65, 500, 5_000, 50_000))
    opened, closed = rng.choice(
        (("[", "]"), ("{a: ", "}"), ("[{a: ", "}]"), ("- ", ""))
    )
    end = closed * levels if rng.random() < 0.7 else ""
    return _put(rng, octets, f"{opened * levels}x{end}")


def huge(rng: random.Random, octets: bytes) -> bytes:
    """Put a very long text, list or mapping in a value's place, or in a key's."""
    count = rng.choice((1_000, 20_000, 200_000))
    shapes = (
        lambda: "x" * count,
        lambda: "'" + "x " * count + "'",
        lambda: "[" + "1, " * (count // 10) + "]",
        lambda: "{" + ", ".join(f"k{n}: v" for n in range(count // 20)) + "}",
        lambda: "{" + "k" * count + ": v}",
    )
    return _put(rng, octets, rng.choice(shapes)())


def double(rng: random.Random, octets: bytes) -> bytes:
    """Duplicate a line, the second time perhaps with another value."""
    lines = octets.split(b"\n")
    at = rng.randrange(len(lines))
    again = lines[at] if rng.random() < 0.5 else lines[at] + b"1"
    return b"\n".join([*lines[:at], lines[at], again, *lines[at + 1 :]])


def swap(rng: random.Random, octets: bytes) -> bytes:
    """Swap two lines, or leave one at another indent."""
    lines = octets.split(b"\n")
    if len(lines) < 2:
        return octets
    one, other = rng.sample(range(len(lines)), 2)
    lines[one], lines[other] = lines[other], lines[one]
    if rng.random() < 0.3:
        lines[one] = b" " * rng.randint(1, 3) + lines[one]
    return b"\n".join(lines)


def documents(rng: random.Random, octets: bytes) -> bytes:
    """Make several documents, or end one in the midst."""
    text = rng.choice(
        (b"---\n", b"...\n", b"--- !foo\n", b"%YAML 9.9\n---\n", b"--- |\n")
    )
    lines = octets.splitlines(keepends=True)
    at = rng.randrange(len(lines) + 1)
    return b"".join([*lines[:at], text, *lines[at:]])


# -- values -------------------------------------------------------------------------------


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _paths(item, (*path, key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _paths(item, (*path, at))


def change_value(rng: random.Random, octets: bytes) -> bytes:
    """Put another value somewhere, of any type."""
    content = yaml.safe_load(octets)
    for _ in range(rng.randint(1, 3)):
        *above, last = rng.choice([path for path in _paths(content) if path])
        at = content
        for part in above:
            at = at[part]
        choice = rng.random()
        if choice < 0.7:
            at[last] = copy.deepcopy(rng.choice(VALUES))
        elif choice < 0.8:
            del at[last]
        elif choice < 0.9 and isinstance(at, dict):
            at[str(last)[::-1]] = at.pop(last)
        else:
            at[last] = [at[last], copy.deepcopy(at[last])]
    return _write(rng, content)


def splice(rng: random.Random, octets: bytes) -> bytes:
    """Replace one part of the values with another."""
    content = yaml.safe_load(octets)
    paths = [path for path in _paths(content) if path]
    values = []
    for path in rng.sample(paths, min(2, len(paths))):
        at = content
        for part in path:
            at = at[part]
        values.append((path, json.loads(json.dumps(at))))
    (one, _), (_, value) = values[0], values[-1]
    at = content
    for part in one[:-1]:
        at = at[part]
    at[one[-1]] = value
    return _write(rng, content)


def _write(rng: random.Random, content: Any) -> bytes:
    if rng.random() < 0.5:
        return json.dumps(content).encode()
    return yaml.safe_dump(content, allow_unicode=True).encode()


MUTATIONS: Final[tuple[Mutation, ...]] = (
    *(flip, replace_octets, cut, cut_out, insert_nul, mark, line_ends, tabs),
    *(tag, number, alias, bomb, deep, huge, double, swap, documents),
    *(change_value, change_value, change_value, splice),
)


def mutated(seed: int, sound: Sequence[bytes]) -> Iterator[tuple[str, bytes]]:
    """Yield without end what a mutation is called and what it made of a sound text.

    Args:
        seed: All follows from it.
        sound: YAML texts, each of one document.
    """
    rng = random.Random(seed)  # tests, not secrets
    while True:
        text = rng.choice(sound)
        mutation = rng.choice(MUTATIONS)
        found = mutation(rng, text)
        if rng.random() < 0.1:  # once more, on what is broken already
            found = rng.choice((flip, cut, insert_nul))(rng, found or b"x")
        yield mutation.__name__, found

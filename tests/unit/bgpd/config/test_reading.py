import pickle
from pathlib import Path
from typing import Any

from bgpd.config.loader import load
from bgpd.config.reading import PIECE, Assembly, Piece, Source, load_in_pieces

MANY = 3 * PIECE + 1


def written(path: Path, text: str) -> Source:
    path.write_text(text)
    return Source(path, {"log-level": "error"})


def copied(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))  # noqa: S301  # what was just written


def through_pickle(source: Source) -> list[Piece]:
    again = copied(source)
    return [copied(piece) for piece in load_in_pieces(again)]


def test_pieces_come_to_the_whole(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret\n")
    lines = [
        "bgp: {as: 64512, router_id: 10.0.0.1}",
        "peers:",
        *(
            f"- {{address: 10.1.{n >> 8}.{n & 255}, as: 64512, password_file: key}}"
            for n in range(MANY)
        ),
        "ranges: [{prefix: 10.2.0.0/16, as: 64512}]",
        "policies: {a: {terms: [{action: accept}]}, b: {terms: []}}",
        "routes:",
        "  originate:",
        *(f"  - {{prefix: 10.3.{n}.0/24}}" for n in range(MANY)),
    ]
    source = written(tmp_path / "pybgpd.yaml", "\n".join(lines))
    pieces = through_pickle(source)
    assert max(len(pickle.dumps(piece)) for piece in pieces) < 20_000
    assembly = Assembly()
    for piece in pieces:
        assembly.take(piece)
    whole = load(source.file, options=source.options)
    assert assembly.result() == whole
    assert len(whole.settings.peers) == len(whole.settings.routes.originated) == MANY
    assert whole.files == (source.file, tmp_path / "key")


def test_only_problems_are_reported(tmp_path: Path) -> None:
    source = written(tmp_path / "pybgpd.yaml", "bgp: {as: x}\ncolour: blue\n")
    assembly = Assembly()
    for piece in through_pickle(source):
        assembly.take(piece)
    told = assembly.result()
    assert isinstance(told, str)
    assert f"{source.file}:1:11: bgp.as: " in told
    assert f"{source.file}:2:1: colour: unknown key" in told


def test_a_part_is_not_the_whole() -> None:
    assert Assembly().result() == "it is cut short"

import asyncio
import json
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgpd.calico.events import Changes, DatastoreEvent, Snapshot
from bgpd.calico.slices import finish
from bgpd.datastore import saved_state
from bgpd.datastore.model import Status
from bgpd.datastore.saved_state import (
    Owner,
    SavedDatastore,
    StateError,
    decoded,
    encoded,
)
from bgpd.texts.files import read_octets
from tests.support.speakers import until

OWNER = Owner("etcd", "n1")
ITEMS = {"/calico/a": b'{"x":1}', "/calico/b": b"\xff not UTF-8"}


class Source:
    """A datastore that answers when a test lets it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[DatastoreEvent | None] = asyncio.Queue()

    @property
    def status(self) -> Status:
        return Status("etcd", warnings=("its own",))

    def describe(self, key: str, field: str = "") -> str:
        return f"at {key} {field}"

    async def events(self) -> AsyncGenerator[DatastoreEvent, None]:
        while (event := await self.queue.get()) is not None:
            yield event


def saving(source: Source, path: Path, start_wait: float = 0.05) -> SavedDatastore:
    return SavedDatastore(
        source,
        path,
        "n1",
        600,
        clock=lambda: 1000.0,
        start_wait=start_wait,
        save_delay=0.0,
    )


def write(path: Path, saved_at: float = 900.0, owner: Owner = OWNER) -> None:
    path.write_bytes(finish(encoded(owner, ITEMS, saved_at)))


async def first_of(datastore: SavedDatastore) -> DatastoreEvent:
    async with aclosing(datastore.events()) as events:
        return await asyncio.wait_for(anext(events), 5)


@given(st.dictionaries(st.text(), st.binary()), st.floats(0, 2e9))
def test_what_is_saved_is_what_is_read(items, saved_at) -> None:
    octets = finish(encoded(OWNER, items, saved_at))
    assert finish(decoded(octets, OWNER)) == (saved_at, items)


@given(st.data())
def test_a_file_that_is_cut_or_mixed_up_is_not_used(data) -> None:
    octets = finish(encoded(OWNER, ITEMS, 1.0))
    cut = data.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(StateError):
        finish(decoded(octets[:cut], OWNER))
    lines = octets.split(b"\n")
    del lines[data.draw(st.integers(0, len(lines) - 2))]
    with pytest.raises(StateError):
        finish(decoded(b"\n".join(lines), OWNER))


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "it is not JSON"),
        (b"[]", "the first line is not that of a saved state"),
        (b'{"format": 2}', "the first line is not that of a saved state"),
        (
            b'{"format":1,"kind":"etcd","node":"n2"}',
            "it is the state of etcd for node n2",
        ),
        (
            b'{"format":1,"kind":"kubernetes","node":"n1"}',
            "it is the state of kubernetes",
        ),
        (b'{"format":1,"kind":"etcd","node":"n1"}', "lacks the time or the count"),
        (
            b'{"format":1,"kind":"etcd","node":"n1","saved_at":1,"count":1}\n[1]\n{"end":1}\n',
            "line 2 is not a key and a value",
        ),
    ],
)
def test_the_error_says_what_is_wrong_with_a_file(octets, text) -> None:
    with pytest.raises(StateError, match=text):
        finish(decoded(octets, OWNER))


@pytest.mark.asyncio
async def test_a_datastore_that_answers_is_asked_alone(tmp_path: Path) -> None:
    source, path = Source(), tmp_path / "state"
    write(path)
    source.queue.put_nowait(Snapshot(7, {"k": b"1"}))
    datastore = saving(source, path, start_wait=60.0)
    assert await first_of(datastore) == Snapshot(7, {"k": b"1"})
    assert datastore.status.saved_at == 0
    assert datastore.status.warnings == ("its own",)


@pytest.mark.asyncio
async def test_while_it_is_away_the_saved_state_is_in_force(
    tmp_path: Path, caplog
) -> None:
    source, path = Source(), tmp_path / "state"
    write(path)
    datastore = saving(source, path)
    async with aclosing(datastore.events()) as events:
        assert await anext(events) == Snapshot(0, ITEMS)
        assert datastore.status.saved_at == 900.0
        assert "1970-01-01T00:15:00Z is in force" in datastore.status.warnings[1]
        assert "1970-01-01T00:15:00Z is in force" in caplog.text
        source.queue.put_nowait(Snapshot(7, {"k": b"1"}))
        assert await anext(events) == Snapshot(7, {"k": b"1"})
        assert datastore.status.saved_at == 0
        source.queue.put_nowait(Changes(8, {}, frozenset({"k"})))
        assert await anext(events) == Changes(8, {}, frozenset({"k"}))


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("saved_at", "owner", "text"),
    [
        (399.0, OWNER, "it is 601 s old; the limit is 600 s"),
        (1001.0, OWNER, "it is -1 s old"),
        (900.0, Owner("etcd", "other"), "it is the state of etcd for node other"),
    ],
)
async def test_a_state_that_cannot_be_used_is_reported(
    tmp_path: Path, caplog, saved_at, owner, text
) -> None:
    source, path = Source(), tmp_path / "state"
    write(path, saved_at, owner)
    datastore = saving(source, path)
    first = asyncio.create_task(first_of(datastore))
    await until(lambda: text in caplog.text)
    assert any(text in line for line in datastore.status.warnings)
    source.queue.put_nowait(Snapshot(1, {}))
    assert await first == Snapshot(1, {})


@pytest.mark.asyncio
async def test_without_a_file_there_is_nothing_to_say(
    tmp_path: Path, caplog, monkeypatch
) -> None:
    source, sought = Source(), list[object]()

    def seek(path: Path, most: int) -> bytes:
        sought.append(path)
        return read_octets(path, most)

    monkeypatch.setattr(saved_state, "read_octets", seek)
    datastore = saving(source, tmp_path / "state")
    first = asyncio.create_task(first_of(datastore))
    await until(lambda: sought)
    source.queue.put_nowait(Snapshot(1, {}))
    assert await first == Snapshot(1, {})
    assert sought == [tmp_path / "state"]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.asyncio
async def test_each_change_is_saved(tmp_path: Path) -> None:
    source, path = Source(), tmp_path / "new" / "state"
    datastore = saving(source, path)

    def saved() -> object:
        if not path.exists():
            return None
        return finish(decoded(path.read_bytes(), OWNER)).items

    async with aclosing(datastore.events()) as events:
        source.queue.put_nowait(Snapshot(7, ITEMS))
        await anext(events)
        await until(lambda: saved() == ITEMS)
        assert path.stat().st_mode & 0o777 == 0o600
        source.queue.put_nowait(Changes(8, {"n": b"2"}, frozenset({"/calico/a"})))
        await anext(events)
        wanted = {"/calico/b": ITEMS["/calico/b"], "n": b"2"}
        await until(lambda: saved() == wanted)


@pytest.mark.asyncio
async def test_a_file_that_cannot_be_written_costs_nothing_else(
    tmp_path: Path, caplog
) -> None:
    source = Source()
    (tmp_path / "file").touch()
    datastore = saving(source, tmp_path / "file" / "state")
    async with aclosing(datastore.events()) as events:
        for number in range(3):
            source.queue.put_nowait(Snapshot(number, {"n": b"%d" % number}))
            assert (await anext(events)).revision == number
            await until(lambda: "cannot save the state" in str(datastore.status))
            await until(lambda: datastore._saver is None)
    assert (
        caplog.text.count("cannot save the state") == 1
    )  # the same fault is news once


def test_where_a_value_stands_is_the_sources_to_say(tmp_path: Path) -> None:
    assert saving(Source(), tmp_path / "s").describe("k", "f") == "at k f"


def test_a_header_is_readable_by_people() -> None:
    first = finish(encoded(OWNER, ITEMS, 5.0)).split(b"\n")[0]
    assert json.loads(first) == {
        "format": 1,
        "kind": "etcd",
        "node": "n1",
        "saved_at": 5.0,
        "count": 2,
    }

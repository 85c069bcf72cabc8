"""Reloading by a real process; whatever a file holds, the answer is one, and nothing changes."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from bgpd.config.reading import Source
from bgpd.config.settings import DaemonSettings
from bgpd.daemon.config_reload import MAX_LINES, ConfigReload
from bgpd.daemon.errors import ReloadError
from bgpd.worker.turns import collect, in_turns
from tests.support.simnet import run_virtually, stand_still
from tests.support.turns import turn

pytestmark = pytest.mark.slow  # a process each

GOOD = "bgp: {as: 64512, router_id: 10.0.0.1}\n"


class Running:
    """Settings in force, as a daemon has them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.applied: list[DaemonSettings] = []
        self.reloading = ConfigReload(Source(file), (file,), self._apply)
        self.fault: Exception | None = None

    async def _apply(
        self, new: DaemonSettings, *, allows_resets: bool = False
    ) -> list[str]:
        assert not allows_resets
        self.applied.append(new)
        if self.fault is not None:
            raise self.fault
        return [f"AS {new.speaker.asn}"]

    async def refusal(self) -> str:
        count, files = len(self.applied), self.reloading.files
        with pytest.raises(ReloadError) as caught:
            await self.reloading.reload_or_raise()
        assert len(self.applied) == count
        assert self.reloading.files == files
        return str(caught.value)


def running(tmp_path: Path, work: Callable[[Running], Awaitable[None]]) -> None:
    async def main() -> None:
        node = Running(tmp_path / "pybgpd.yaml")
        try:
            await work(node)
        finally:
            await node.reloading.close()

    asyncio.run(main())


BAD = {
    "timestamp": b"bgp: !!timestamp monday\n",
    "bool": b"bgp: {as: !!bool maybe}\n",
    "python": b"bgp: !!python/object/apply:os.abort []\n",
    "set": b"bgp: !!set {as, router_id}\n",
    "aliases": b"a: &a [x, x]\n"
    + b"\n".join(
        b"a%d: &a%d [*a%d, *a%d]" % (n, n, n - 1, n - 1) for n in range(1, 40)
    ),
    "itself": b"bgp: &a {listen: *a}\n",
    "deep": b"bgp: " + b"[" * 100_000,
    "digits": b"bgp: {as: " + b"9" * 100_000 + b"}\n",
    "infinite": b"bgp: {as: 1.0e+999}\n",
    "nul": b"bgp: \x00\n",
    "latin": b"node: {name: caf\xe9}\n",
    "utf-16": GOOD.encode("utf-16"),
    "twice": GOOD.encode() * 2,
    "two": GOOD.encode() + b"---\n" + GOOD.encode(),
    "list": b"- 1\n",
    "unknown": b"colour: blue\n" + b"shade: 1\n" * 1,
    "many": b"peers:\n" + b"- {colour: blue}\n" * 20_000,
    "cut": GOOD.encode()[:-3],
    "large": b"#" * (9 << 20),
}


def test_whatever_a_file_holds_nothing_changes_and_the_file_is_named(
    tmp_path: Path,
) -> None:
    async def work(node: Running) -> None:
        for name, octets in BAD.items():
            node.file.write_bytes(octets)
            text = await node.refusal()
            assert text.startswith(f"{node.file}:"), name
            assert len(text) < 60_000, name
        node.file.write_text(GOOD)
        assert await node.reloading.reload_or_raise() == ["AS 64512"]

    running(tmp_path, work)


def test_a_path_that_is_not_a_file_is_reported_at_once(tmp_path: Path) -> None:
    async def work(node: Running) -> None:
        assert "No such file" in await node.refusal()
        os.mkfifo(node.file)
        assert "is a FIFO; expected a regular file" in await node.refusal()
        node.file.unlink()
        node.file.symlink_to("/dev/zero")
        assert "is a device" in await node.refusal()
        node.file.unlink()
        node.file.mkdir()
        assert "is a folder" in await node.refusal()

    running(tmp_path, work)


def test_without_a_process_to_read_it_nothing_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(node: Running) -> None:
        node.file.write_text(GOOD)
        monkeypatch.setattr("sys.executable", "/nonexistent/python")
        assert ": cannot start a process" in await node.refusal()
        monkeypatch.undo()
        assert await node.reloading.reload_or_raise() == ["AS 64512"]

    running(tmp_path, work)


def test_those_who_ask_at_once_are_answered_one_after_the_other(tmp_path: Path) -> None:
    async def work(node: Running) -> None:
        node.file.write_text(GOOD)
        node.reloading.ask()
        one, two = await asyncio.gather(
            node.reloading.reload_or_raise(), node.reloading.reload_or_raise()
        )
        assert one == two == ["AS 64512"]
        assert len(node.applied) == 3

    running(tmp_path, work)


def test_a_fault_in_applying_is_returned_to_the_caller_and_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(node: Running) -> None:
        node.file.write_text(GOOD)
        node.fault = KeyError("x")
        with pytest.raises(ReloadError, match="applied only in part: KeyError"):
            await node.reloading.reload_or_raise()
        await node.reloading.reload()  # a signal gets no answer
        assert caplog.text.count("reload failed: applied only in part") == 1

    running(tmp_path, work)


def test_all_by_options_has_nothing_to_reload(tmp_path: Path) -> None:
    async def main() -> None:
        reloading = ConfigReload(None, (), Running(tmp_path / "x")._apply)
        with pytest.raises(ReloadError, match="there is no configuration to reload"):
            await reloading.reload_or_raise()
        await reloading.close()

    asyncio.run(main())


def test_a_long_answer_is_cut(tmp_path: Path) -> None:
    async def many(new: DaemonSettings, *, allows_resets: bool = False) -> list[str]:
        assert new.node_name
        assert not allows_resets
        return ["a step"] * (MAX_LINES + 7)

    async def main() -> None:
        (tmp_path / "pybgpd.yaml").write_text(GOOD)
        reloading = ConfigReload(Source(tmp_path / "pybgpd.yaml"), (), many)
        lines = await reloading.reload_or_raise()
        assert len(lines) == MAX_LINES + 1
        assert lines[-1] == "and 7 more"
        await reloading.close()

    asyncio.run(main())


def test_long_work_gives_the_loop_its_turn() -> None:
    def items() -> Iterator[int | None]:
        for number in range(10):
            stand_still(0.003)
            yield number if number % 2 else None

    async def main() -> None:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await turn()

        task = asyncio.create_task(others())
        assert await in_turns(collect(items())) == [1, 3, 5, 7, 9]
        task.cancel()
        assert turns >= 5

    run_virtually(main())

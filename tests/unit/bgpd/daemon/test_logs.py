"""Log lines as text and as JSON."""

import json
import logging
from collections.abc import Iterator

import pytest

from bgpd.config.settings import LogFormat, LogSettings
from bgpd.daemon.logs import set_up_logging


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_text_lines_have_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogSettings(level="warning"))
    logging.getLogger("bgpd.x").warning("peer %s is down", "a")
    logging.getLogger("bgpd.x").info("not told")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(" WARNING peer a is down")


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging(LogSettings(level="debug", format=LogFormat.JSON))
    logging.getLogger("bgpd.x").debug("line\nbreak and \u00fcmlaut")
    error = ValueError("what went wrong")
    logging.getLogger("bgpd.y").critical("died", exc_info=error)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert first["message"] == "line\nbreak and \u00fcmlaut"
    assert first["level"] == "debug"
    assert first["logger"] == "bgpd.x"
    assert "traceback" not in first
    assert "what went wrong" in second["traceback"]


def test_setting_up_again_replaces_the_former_way(
    capsys: pytest.CaptureFixture[str],
) -> None:
    set_up_logging(LogSettings())
    set_up_logging(LogSettings())
    logging.getLogger("bgpd.x").info("once")
    assert capsys.readouterr().err.count("once") == 1

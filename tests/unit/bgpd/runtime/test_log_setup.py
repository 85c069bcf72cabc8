"""Log lines as text and as JSON, counted where they come too often."""

import json
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest

from bgpd.config.settings import LogFormat, LogSettings
from bgpd.runtime.log_setup import (
    MOST_LINE,
    DaemonHandler,
    alike,
    catch_output,
    log_figures,
    say_last,
    set_up_logging,
)


@pytest.fixture(autouse=True)
def _root_logger() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    yield
    for handler in ours():
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(False)


def ours() -> list[DaemonHandler]:
    root = logging.getLogger()
    return [each for each in root.handlers if isinstance(each, DaemonHandler)]


def written(capfd: pytest.CaptureFixture[str]) -> list[str]:
    for handler in ours():
        handler.flush()
    return capfd.readouterr().err.splitlines()


def test_text_lines_have_level_and_message(capfd) -> None:
    set_up_logging(LogSettings(level="warning"))
    logging.getLogger("bgpd.x").warning("peer %s is down", "a")
    logging.getLogger("bgpd.x").info("not told")
    (line,) = written(capfd)
    assert line.endswith(" WARNING peer a is down")


def test_lines_for_the_journal_have_their_severity(capfd, monkeypatch) -> None:
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    set_up_logging(LogSettings(level="debug"))
    log = logging.getLogger("bgpd.x")
    for level in ("critical", "error", "warning", "info", "debug"):
        getattr(log, level)("a line of %s", level)
    log.error("of two\nlines")
    assert written(capfd) == [
        "<2>a line of critical",
        "<3>a line of error",
        "<4>a line of warning",
        "<6>a line of info",
        "<7>a line of debug",
        "<3>of two",
        "<3>lines",
    ]
    set_up_logging(LogSettings(format=LogFormat.JSON))
    log.warning("an object")
    (line,) = written(capfd)
    assert json.loads(line.removeprefix("<4>"))["message"] == "an object"


@pytest.mark.parametrize("stream", ["", "1:1", "x", "8:"])
def test_another_stream_is_not_the_journals(capfd, monkeypatch, stream) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", stream)  # standard error was sent elsewhere
    set_up_logging(LogSettings())
    logging.getLogger("bgpd.x").warning("a line")
    (line,) = written(capfd)
    assert line.endswith(" WARNING a line")


def test_json_lines_are_one_object_each(capfd) -> None:
    set_up_logging(LogSettings(level="debug", format=LogFormat.JSON))
    logging.getLogger("bgpd.x").debug("line\nbreak and \u00fcmlaut")
    error = ValueError("what went wrong")
    logging.getLogger("bgpd.y").critical("died", exc_info=error)
    first, second = map(json.loads, written(capfd))
    assert first["message"] == "line\nbreak and \u00fcmlaut"
    assert first["level"] == "debug"
    assert first["logger"] == "bgpd.x"
    assert "traceback" not in first
    assert "what went wrong" in second["traceback"]


def test_setting_up_again_replaces_the_former_way(capfd) -> None:
    set_up_logging(LogSettings())
    set_up_logging(LogSettings(format=LogFormat.JSON))
    logging.getLogger("bgpd.x").info("once")
    (line,) = written(capfd)
    assert json.loads(line)["message"] == "once"


@pytest.mark.parametrize("form", LogFormat)
def test_a_flood_is_a_line_and_a_summary(capfd, form) -> None:
    set_up_logging(LogSettings(format=form))
    log = logging.getLogger("bgpd.x")
    for n in range(2_000):
        log.warning(
            "%(peer)s: %(reason)s %(count)d",
            {"event": "x", "peer": "a", "reason": "bad thing", "count": n},
            extra=alike("peer", "reason"),
        )
    ours()[0].tick(at_once=True)
    first, summary = written(capfd)
    assert "bad thing 0" in first
    assert "suppressed 1999 similar lines" in summary
    assert "bad thing 1999" in summary
    assert log_figures() == (0, 1_999)
    if form is LogFormat.JSON:
        written_first, written_last = json.loads(first), json.loads(summary)
        assert "suppressed" not in written_first
        assert written_last.pop("interval") < 60
        assert written_last.pop("suppressed") == 1_999
        assert written_last.pop("count") == 1_999, "of the last of them"
        for name in ("event", "peer", "reason", "logger", "level"):
            assert written_first[name] == written_last[name]


def test_a_summary_keeps_values_as_they_were(capfd) -> None:
    set_up_logging(LogSettings(format=LogFormat.JSON))
    families = ["ipv4-unicast"]
    for _ in range(2):
        logging.getLogger("bgpd.x").warning(
            "%(peer)s",
            {"event": "x", "peer": "a\nb", "families": families},
            extra=alike("peer"),
        )
    families.clear()
    ours()[0].tick(at_once=True)
    _, summary = map(json.loads, written(capfd))
    assert (summary["peer"], summary["families"]) == ("a\nb", ["ipv4-unicast"])
    assert (summary["event"], summary["suppressed"]) == ("x", 1)


def test_events_that_one_line_stands_for_are_counted_each(capfd) -> None:
    set_up_logging(LogSettings())
    log = logging.getLogger("bgpd.x")
    for _ in range(3):
        log.warning(
            "%(peer)s: 500 bad things",
            {"event": "x", "peer": "a"},
            extra=alike("peer", count=500),
        )
    ours()[0].tick(at_once=True)
    assert "suppressed 1000 similar lines" in written(capfd)[1]


def test_lines_of_different_peers_are_not_alike(capfd) -> None:
    set_up_logging(LogSettings())
    log = logging.getLogger("bgpd.x")
    for n in range(100):
        log.warning("%s: down", f"peer {n}")
    assert len(written(capfd)) == 100


def test_debug_lines_are_all_written(capfd) -> None:
    set_up_logging(LogSettings(level="debug"))
    for _ in range(100):
        logging.getLogger("bgpd.x").debug("the same")
    assert len(written(capfd)) == 100


def test_one_line_is_not_longer_than_a_pipe(capfd) -> None:
    set_up_logging(LogSettings())
    logging.getLogger("bgpd.x").warning("%s", "x" * 1_000_000)
    assert sum(map(len, written(capfd))) < 3 * MOST_LINE


def test_a_line_that_cannot_be_made_ends_nothing(capfd) -> None:
    set_up_logging(LogSettings())
    (handler,) = ours()  # those of pytest would raise
    for text, value in (("%d", "no number"), ("%s", "half a character \udcff")):
        handler.handle(logging.LogRecord("bgpd.x", 30, "file", 1, text, (value,), None))
    first, second = written(capfd)
    assert first == "cannot format a log line of bgpd.x"
    assert second.endswith("half a character \\udcff")
    set_up_logging(LogSettings(format=LogFormat.JSON))
    handler.handle(logging.LogRecord("bgpd.x", 30, "file", 1, "%d", ("no",), None))
    [line] = map(json.loads, written(capfd))
    assert line["message"] == "cannot format a log line of bgpd.x"
    assert (line["event"], line["logger"]) == ("line-not-formatted", "bgpd.x")


def test_what_python_itself_would_write_goes_to_the_log(capfd) -> None:
    set_up_logging(LogSettings())
    catch_output()

    def fail(where: str) -> None:
        raise ValueError(where)

    try:
        fail("of the main program")
    except ValueError as error:
        sys.excepthook(ValueError, error, error.__traceback__)

    thread = threading.Thread(target=fail, args=("of a thread",))
    thread.start()
    thread.join()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("of a library", stacklevel=1)
    text = "\n".join(written(capfd))
    for part in ("of the main program", "of a thread", "of a library", "Traceback"):
        assert part in text


def test_the_last_words_follow_what_was_logged(capfd) -> None:
    set_up_logging(LogSettings())
    logging.getLogger("bgpd.x").error("why")
    say_last("it ends")
    assert written(capfd)[-1] == "pybgpd: it ends"
    set_up_logging(LogSettings(format=LogFormat.JSON))
    say_last("it ends\nhere")
    last = json.loads(written(capfd)[-1])
    assert (last["level"], last["event"]) == ("critical", "start-failed")
    assert (last["message"], last["reason"]) == (
        "pybgpd: it ends\nhere",
        "it ends\nhere",
    )

"""What every command that shows something can do: repeat itself, use a pager, and colours."""

import io
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

import click

from bgpd.cli.request import UnreachableDaemonError
from bgpd.cli.terminal import (
    COLOR_CHOICES,
    META_COLOR,
    PagedOutput,
    Terminal,
    current_terminal,
)

_WATCH: Final = "--watch"
_EVERY: Final = 2.0  # seconds between two answers where none are given
_LEAST_SECONDS: Final = 0.1
_HOME, _CLEAR_LINE, _CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_ENTER_SCREEN: Final = "\x1b[?1049h\x1b[?25l"
_LEAVE_SCREEN: Final = "\x1b[?25h\x1b[?1049l"


class PagedCommand(click.Command):
    """A command with long output, which a terminal shows through a pager."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(
                ["--no-pager"],
                is_flag=True,
                help="Do not show long output through PAGER (less) on a terminal.",
            )
        )

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's
        """Run the command."""
        has_pager = not ctx.params.pop("no_pager", False)
        is_endless = ctx.params.get("follow", False)  # a pager would wait for its end
        show = super().invoke
        terminal = current_terminal()
        if has_pager and not is_endless and terminal.is_able:
            _page(lambda: show(ctx), terminal)
            return None
        return show(ctx)


class ShowCommand(PagedCommand):
    """A command that shows something; adds options to those that it is given."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  # click's
        super().__init__(*args, **kwargs)
        self.params[-1:] = [
            click.Option(
                [_WATCH],
                type=click.FloatRange(min=_LEAST_SECONDS),
                metavar="[SECONDS]",
                help=f"Repeat every so many seconds, {_EVERY:g} by default; Ctrl-C ends.",
            ),
            click.Option(
                ["--color"],
                type=click.Choice(COLOR_CHOICES),
                default="auto",
                help="Whether states are in colour; NO_COLOR and CLICOLOR count too.",
            ),
            self.params[-1],
        ]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let ``--watch`` do without a number."""
        return super().parse_args(ctx, list(_with_seconds(args)))

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  # click's
        """Run the command once, or again and again."""
        ctx.meta[META_COLOR] = ctx.params.pop("color", "auto")
        seconds = ctx.params.pop("watch", None)
        if seconds is None:
            return super().invoke(ctx)
        del ctx.params["no_pager"]
        show = partial(click.Command.invoke, self, ctx)
        _watch(show, seconds, current_terminal())
        return None


def _with_seconds(args: Sequence[str]) -> list[str]:
    """Return arguments in which ``--watch`` is always followed by a number."""
    found: list[str] = []
    for index, word in enumerate(args):
        found.append(word)
        following = args[index + 1] if index + 1 < len(args) else ""
        if word == _WATCH and not following.replace(".", "", 1).isdecimal():
            found.append(str(_EVERY))
    return found


def _page(show: Callable[[], object], terminal: Terminal) -> None:
    import os  # noqa: PLC0415  # only here

    kept = sys.stdout
    paged = PagedOutput(kept, terminal.height, os.environ)  # type: ignore[arg-type]  # a text stream
    sys.stdout = paged
    try:
        show()
    except BrokenPipeError:
        pass  # the reader has seen enough
    finally:
        sys.stdout = kept
        paged.finish()


def _watch(show: Callable[[], object], seconds: float, terminal: Terminal) -> None:
    try:
        if terminal.is_able:
            _redraw(show, seconds)
        else:
            _repeat(show, seconds)
    except KeyboardInterrupt:
        pass  # how it is meant to end


def _repeat(show: Callable[[], object], seconds: float) -> None:
    """Print one answer below the other."""
    is_first = True
    while True:
        try:
            show()
        except UnreachableDaemonError as error:
            if is_first and not error.is_partial:
                raise
            error.show()
        except SystemExit:
            pass  # with a code that says what was shown
        is_first = False
        sys.stdout.flush()
        time.sleep(seconds)


def _redraw(show: Callable[[], object], seconds: float) -> None:
    """Print each answer over the one before, as top does."""
    text = _answer(show, current_terminal(), is_first=True)
    out = sys.stdout
    out.write(_ENTER_SCREEN)
    try:
        while True:
            out.write(_frame(text, current_terminal().height, seconds))
            out.flush()
            time.sleep(seconds)
            text = _answer(show, current_terminal(), is_first=False)
    finally:
        out.write(_LEAVE_SCREEN)
        out.flush()


def _frame(text: str, height: int, seconds: float) -> str:
    """Return what draws a text over the screen's, with a line about it."""
    moment = time.strftime("%H:%M:%S")
    lines = [f"{moment}, every {seconds:g} s; Ctrl-C ends", *text.splitlines()]
    shown = lines[: height - 1]
    if len(lines) > len(shown):
        shown[-1] = "(more than the screen holds)"
    drawn = "".join(f"{line}{_CLEAR_LINE}\n" for line in shown)
    return f"{_HOME}{drawn}{_CLEAR_REST}"


def _answer(show: Callable[[], object], terminal: Terminal, *, is_first: bool) -> str:
    """Return what a command prints; an error instead, except the first time."""
    kept, screen = sys.stdout, _Screen(terminal.height)
    sys.stdout = screen
    try:
        show()
    except (_ScreenFullError, SystemExit):
        pass  # the latter has a code that says what was shown
    except click.ClickException as error:
        if is_first and not getattr(error, "is_partial", False):
            raise
        return f"{screen.getvalue()}{error.format_message()}\n"
    finally:
        sys.stdout = kept
    return screen.getvalue()


class _ScreenFullError(Exception):
    """No more lines can be seen."""


class _Screen(io.StringIO):
    """Takes as many lines as a screen can show.

    Args:
        height: Their number.
    """

    def __init__(self, height: int) -> None:
        super().__init__()
        self._left = height

    def isatty(self) -> bool:
        """Tell that a terminal shows it."""
        return True

    def write(self, text: str) -> int:
        """Write, up to the last line.

        Raises:
            _ScreenFullError: The screen is full.
        """
        self._left -= text.count("\n")
        written = super().write(text)
        if self._left < 0:
            raise _ScreenFullError
        return written

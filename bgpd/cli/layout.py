"""How wide the columns of a table are, and what moves where a terminal is too narrow. Pure.

What fits is shown as it is. Where it does not, long columns (reasons, remarks) are broken into
lines; then they get lines of their own below their row; then columns that a reader can do
without are left out, the last first. Nothing is ever cut short.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any, Final

NOTHING: Final = "-"
GAP: Final = "  "
_LONG_LEAST: Final = 20  # letters that a long column gets at least beside the others
_INDENT: Final = "    "  # of what stands below its row

Row = dict[str, Any]
# Puts a text into a style: "title", or what ``Column.style`` says; keeps it as it is without.
Paint = Callable[[str, str], str]


def _no_style(_: Row) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: In capitals.
        text: A row's text in this column; empty is shown as ``-``.
        is_number: Aligned to the right.
        is_long: May be broken into lines where a terminal is too narrow.
        is_wide: Shown only where width does not matter (``-o wide``).
        is_optional: Left out where a terminal is too narrow.
        is_sparse: Left out where no row that is measured has a text in it.
        style: ``good``, ``waiting``, ``bad`` or nothing; the text says as much without it.
    """

    title: str
    text: Callable[[Row], str]
    is_number: bool = False
    is_long: bool = False
    is_wide: bool = False
    is_optional: bool = False
    is_sparse: bool = False
    style: Callable[[Row], str] = _no_style


def cells_of(columns: Sequence[Column], row: Row) -> list[str]:
    """Return the texts of a row."""
    return [column.text(row) or (NOTHING if column.title else "") for column in columns]


class Layout:
    """A table's columns, fitted to a width by some of its rows.

    Args:
        columns: What there is to show.
        measured: Texts of the first rows, those of all columns each; later rows may be wider.
        width: Letters in a line; ``None`` is as many as are needed.

    Attributes:
        left_out: Titles of columns that had no room.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        measured: Sequence[Sequence[str]],
        width: int | None,
    ) -> None:
        titles = [column.title for column in columns]
        self._columns = columns
        self._line_width = width or 0
        self._widths = [
            max(map(len, some)) for some in zip(titles, *measured, strict=True)
        ]
        self._shown = list(range(len(columns)))
        self._below: list[int] = []
        self.left_out: list[str] = []
        if width is not None:
            self._fit(width)

    def _fit(self, width: int) -> None:
        if self._total() <= width:
            return
        long = [index for index in self._shown if self._columns[index].is_long]
        if long:
            least = sum(min(self._widths[index], _LONG_LEAST) for index in long)
            room = width - self._total() + sum(self._widths[index] for index in long)
            if room >= least:
                self._share(long, room)
                return
            self._shown = [index for index in self._shown if index not in long]
            self._below = long
        for index in reversed(self._shown.copy()):
            if self._total() <= width:
                return
            if self._columns[index].is_optional:
                self._shown.remove(index)
                self.left_out.insert(0, self._columns[index].title)

    def _total(self) -> int:
        texts = sum(self._widths[index] for index in self._shown)
        return texts + len(GAP) * (len(self._shown) - 1)

    def _share(self, long: Sequence[int], room: int) -> None:
        """Divide room among long columns: what one does not need is for the others."""
        left = room
        ordered = sorted(long, key=lambda index: self._widths[index])
        for taken, index in enumerate(ordered):
            self._widths[index] = min(
                self._widths[index], left // (len(ordered) - taken)
            )
            left -= self._widths[index]

    def head(self, paint: Paint) -> str:
        """Return the line of titles."""
        titles = [column.title for column in self._columns]
        return self._line(titles, lambda _, text: paint("title", text))

    def lines(self, row: Row, cells: Sequence[str], paint: Paint) -> Iterator[str]:
        """Yield the lines of one row.

        Args:
            row: Decides the styles.
            cells: Its texts, of all columns.
            paint: Puts texts into styles.
        """

        def painted(index: int, text: str) -> str:
            style = self._columns[index].style(row)
            return paint(style, text) if style else text

        pieces = {
            index: wrap(cells[index], self._widths[index]) or [""]
            for index in self._shown
            if self._columns[index].is_long and len(cells[index]) > self._widths[index]
        }
        if self._line_width == 0:
            pieces = {}
        first = list(cells)
        for index, parts in pieces.items():
            first[index] = parts[0]
        yield self._line(first, painted)
        for number in range(1, max(map(len, pieces.values()), default=0)):
            more = [""] * len(cells)
            for index, parts in pieces.items():
                more[index] = parts[number] if number < len(parts) else ""
            yield self._line(more, painted)
        yield from self._lines_below(cells, painted)

    def _lines_below(
        self, cells: Sequence[str], painted: Callable[[int, str], str]
    ) -> Iterator[str]:
        room = max(self._line_width - len(_INDENT), _LONG_LEAST)
        for index in self._below:
            if cells[index] != NOTHING:
                for part in wrap(cells[index], room):
                    yield _INDENT + painted(index, part)

    def _line(self, cells: Sequence[str], painted: Callable[[int, str], str]) -> str:
        """Return one line; what is added by styles has no width."""
        parts = []
        for index in self._shown:
            text, width = cells[index], self._widths[index]
            room = " " * (width - len(text))
            shown = painted(index, text) if text else ""
            is_number = self._columns[index].is_number
            parts.append(room + shown if is_number else shown + room)
        return GAP.join(parts).rstrip()


def table_lines(
    columns: Sequence[Column],
    measured: Sequence[Row],
    rest: Iterable[Row],
    width: int | None,
    paint: Paint,
) -> Iterator[str]:
    """Yield a table's lines as its rows come.

    Args:
        columns: What to show.
        measured: The first rows, which decide the widths.
        rest: Those behind them.
        width: Of a line; ``None`` for any.
        paint: Puts texts into styles.
    """
    first = [cells_of(columns, row) for row in measured]
    layout = Layout(columns, first, width)
    yield layout.head(paint)
    for row, cells in zip(measured, first, strict=True):
        yield from layout.lines(row, cells, paint)
    for row in rest:
        yield from layout.lines(row, cells_of(columns, row), paint)
    if layout.left_out:
        yield f"(narrow terminal: without {', '.join(layout.left_out)}; all: -o wide)"

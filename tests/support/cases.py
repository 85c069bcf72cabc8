"""Tables of cases that cost less than pytest would take to run each as a test of its own."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import pytest

# What a case may fail with: failures of pytest are not exceptions, nor are groups of them.
FAILURES: Final = (Exception, pytest.fail.Exception, BaseExceptionGroup)


def cases(
    names: str | Sequence[str],
    values: Iterable[Any],
    *,
    ids: Iterable[object] | Callable[[Any], object] | None = None,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test once for each value, as ``pytest.mark.parametrize`` does, but as one test.

    All cases run, also after one that fails, and each failure names its case. Where there are
    several such decorators, all combinations run. Fixtures are shared by the cases.

    pytest takes 2 to 3 ms for a test, where most have workers; so this is for tables of dozens
    of cases that take less themselves.

    Args:
        names: Arguments that the test gets, a sequence or with commas between.
        values: One for each case; a tuple where there are several names; a ``pytest.param``
            where it has a name of its own. Without any, the test is skipped.
        ids: What a failure calls the cases; without it, by their values.
    """
    arguments = (
        [name.strip() for name in names.split(",")]
        if isinstance(names, str)
        else list(names)
    )
    rows = [*_rows(arguments, list(values), ids)]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*positional: Any, **fixtures: Any) -> None:
            failures: list[BaseException] = []
            if not rows:
                pytest.skip("there are no cases here")
            for name, row in rows:
                try:
                    test(*positional, **row, **fixtures)
                except FAILURES as failure:
                    failure.add_note(f"case: {name}")
                    failures.append(failure)
            if len(failures) == 1:
                raise failures[0]
            if failures:
                message = f"{len(failures)} of {len(rows)} cases fail"
                raise BaseExceptionGroup(message, failures)

        signature = inspect.signature(test)
        kept = [p for name, p in signature.parameters.items() if name not in arguments]
        missing = set(arguments) - signature.parameters.keys()
        assert not missing, f"{test.__name__} does not take {sorted(missing)}"
        run.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
        return run

    return decorate


def _rows(
    arguments: Sequence[str],
    values: Sequence[Any],
    ids: Iterable[object] | Callable[[Any], object] | None,
) -> Iterator[tuple[object, dict[str, Any]]]:
    """Yield the name of each case, and its arguments."""
    names = [*map(ids, values)] if callable(ids) else ids or [None] * len(values)
    for value, name in zip(values, names, strict=True):
        row = value if len(arguments) > 1 else (value,)
        if isinstance(value, type(pytest.param())):
            row, name = value.values, value.id or name  # noqa: PLW2901 - its own first
            assert not value.marks, "a case has no marks of its own"
        given = dict(zip(arguments, row, strict=True))
        yield name or ", ".join(f"{n}={v!r}" for n, v in given.items()), given

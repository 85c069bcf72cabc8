"""Tables of cases that cost less than pytest would take to run each as a test of its own."""

import functools
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import pytest

# What a case may fail with: failures of pytest are not exceptions, nor are groups of them.
FAILURES: Final = (Exception, pytest.fail.Exception, BaseExceptionGroup)


def cases(
    names: str | Sequence[str], values: Iterable[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test once for each value, as ``pytest.mark.parametrize`` does, but as one test.

    All cases run, also after one that fails, and each failure names its case. Where there are
    several such decorators, all combinations run. Fixtures are shared by the cases.

    pytest takes 2 to 3 ms for a test, where most have workers; so this is for tables of dozens
    of cases that take less themselves.

    Args:
        names: Arguments that the test gets, a sequence or with commas between.
        values: One for each case; a tuple where there are several names.
    """
    arguments = (
        [name.strip() for name in names.split(",")]
        if isinstance(names, str)
        else list(names)
    )
    rows = [
        dict(zip(arguments, value if len(arguments) > 1 else (value,), strict=True))
        for value in values
    ]
    assert rows, "a table without cases tests nothing"

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(*positional: Any, **fixtures: Any) -> None:
            failures: list[BaseException] = []
            for row in rows:
                try:
                    test(*positional, **row, **fixtures)
                except FAILURES as failure:
                    case = ", ".join(f"{name}={value!r}" for name, value in row.items())
                    failure.add_note(f"case: {case}")
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

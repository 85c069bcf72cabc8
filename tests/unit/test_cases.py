"""A table of cases shows each that fails, with what it was given."""

import pytest

from tests.support.cases import cases


def test_a_test_gets_each_value_and_its_fixtures() -> None:
    seen = []

    @cases("n", [1, 2])
    @cases("a, b", [(3, 4), (5, 6)])
    def table(a: int, fixture: str, b: int, n: int) -> None:
        seen.append((n, a, b, fixture))

    table(fixture="f")
    assert seen == [(1, 3, 4, "f"), (1, 5, 6, "f"), (2, 3, 4, "f"), (2, 5, 6, "f")]


def test_pytest_gives_fixtures_alone(request: pytest.FixtureRequest) -> None:
    @cases("n", [1])
    def table(n: int, tmp_path: object) -> None: ...

    made = pytest.Function.from_parent(request.node.parent, name="table", callobj=table)
    assert "tmp_path" in made.fixturenames
    assert "n" not in made.fixturenames


def test_the_one_that_fails_is_named_and_the_others_run() -> None:
    seen = []

    @cases("n", [1, 2, 3])
    def table(n: int) -> None:
        seen.append(n)
        assert n != 2

    with pytest.raises(AssertionError) as failure:
        table()
    assert failure.value.__notes__ == ["case: n=2"]
    assert seen == [1, 2, 3]


def test_all_that_fail_are_named_failures_of_pytest_too() -> None:
    @cases("n", [1, 2, 3])
    @cases("m", "ab")
    def table(n: int, m: str) -> None:
        if n == 2:
            pytest.fail("no")
        assert m != "b"

    with pytest.raises(BaseExceptionGroup) as failure:
        table()
    group = failure.value
    assert group.message == "3 of 3 cases fail"
    assert [each.__notes__[-1] for each in group.exceptions] == [
        "case: n=1",
        "case: n=2",
        "case: n=3",
    ]
    assert "m='b'" in group.exceptions[0].__notes__[0]


def test_what_skips_skips() -> None:
    @cases("n", [1])
    def table(n: int) -> None:
        pytest.skip("not here")

    with pytest.raises(pytest.skip.Exception):
        table()


@pytest.mark.parametrize("names", ["n, m", ["other"]])
def test_a_table_must_fit_its_test(names: str | list[str]) -> None:
    def test(n: int) -> None: ...

    with pytest.raises((AssertionError, TypeError)):
        cases(names, [1])(test)


def test_without_cases_a_test_is_skipped() -> None:
    @cases("n", [])
    def table(n: int) -> None: ...

    with pytest.raises(pytest.skip.Exception, match="no cases"):
        table()


@pytest.mark.parametrize(
    ("names", "values", "ids", "note"),
    [
        ("n", [2], None, "n=2"),
        ("n, m", [(2, 3)], None, "n=2, m=3"),
        ("n, m", [pytest.param(2, 3, id="own")], None, "own"),
        ("n", {"two": 2}.values(), {"two": 2}, "two"),
        ("n", [2], lambda n: n * 10, "20"),
    ],
)
def test_a_case_is_named_by_its_values_or_its_id(names, values, ids, note) -> None:
    @cases(names, values, ids=ids)
    def table(n: int, m: int = 0) -> None:
        raise ValueError(n)

    with pytest.raises(ValueError, match="2") as failure:
        table()
    assert failure.value.__notes__ == [f"case: {note}"]

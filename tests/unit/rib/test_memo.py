from rib.memo import Memo


def test_what_is_not_asked_for_between_two_ages_is_forgotten() -> None:
    memo: Memo[str, int] = Memo(10)
    memo.put("asked", 1)
    memo.put("not asked", 2)
    memo.age()
    assert memo.recall("asked", None) == 1
    memo.age()
    assert memo.recall("asked", None) == 1
    assert memo.recall("not asked", None) is None
    assert memo.count == 2  # young and old


def test_a_full_memo_ages_by_itself_and_stays_within_two_limits() -> None:
    memo: Memo[int, int] = Memo(100)
    for number in range(10_000):
        memo.put(number, number)
        assert memo.count <= 200
    assert memo.recall(9_999, None) == 9_999
    assert memo.recall(9_000, None) is None


def test_large_results_count_as_several() -> None:
    memo: Memo[int, bytes] = Memo(100)
    for number in range(1_000):
        memo.put(number, bytes(1), 25)
        assert memo.count <= 8
    memo.put(-1, bytes(1), 1_000)  # larger than there is room for, ever
    assert memo.recall(-1, None) == bytes(1)


def test_a_result_that_is_none_is_a_result() -> None:
    memo: Memo[str, None] = Memo(10)
    unknown = object()
    assert memo.recall("key", unknown) is unknown
    memo.put("key", None)
    memo.age()
    assert memo.recall("key", unknown) is None


def test_clearing_forgets_both_ages() -> None:
    memo: Memo[str, int] = Memo(10)
    memo.put("old", 1)
    memo.age()
    memo.put("young", 2)
    memo.clear()
    assert memo.count == 0
    assert memo.recall("old", None) is None

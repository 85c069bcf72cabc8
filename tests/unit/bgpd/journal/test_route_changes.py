"""Changes of best paths: what a reader takes slice by slice, while more happens."""

from bgpd.journal.route_changes import RouteChanges
from rib.change import Change
from rib.family import IPV4_UNICAST
from tests.support.routes import a_path, nlris


def a_change(number: int) -> list[Change]:
    return [Change(None, a_path(), nlris(f"10.0.{number}.0/24"))]


def kept_changes(number: int) -> RouteChanges:
    kept = RouteChanges(IPV4_UNICAST, 1000)
    for each in range(number):
        kept.add(each + 1, float(each), a_change(each))
    return kept


def test_a_reader_of_changes_gets_those_of_its_beginning_while_more_come() -> None:
    kept = kept_changes(5)
    reading = kept.changes(1)
    found = [next(reading).event_id]
    for number in range(5, 10):
        kept.add(number + 1, float(number), a_change(number))
    found += [change.event_id for change in reading]
    assert found == [2, 3, 4, 5]


def test_a_reader_of_times_gets_those_of_its_beginning_while_more_come() -> None:
    kept = kept_changes(3)
    reading = kept.times()
    found = [next(reading)]
    kept.add(4, 3.0, a_change(3))
    found += reading
    wanted = nlris("10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24")
    assert found == list(zip(wanted, (0.0, 1.0, 2.0), strict=True))

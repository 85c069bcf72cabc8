"""Planning around objects that no plan can be made with.

Whatever is wrong with an object should have been found when it was read. What was not raises
here, and would end the daemon on every node that sees the object. So each object that may be
at fault is put back to what it was when a plan last succeeded, and the others take effect.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bgpd.calico.desired import NodeDesired
from bgpd.calico.objects import ObjectName, ObjectTable, describe
from bgpd.calico.slices import Slices

MOST_TRIES: Final = 64  # plans; objects that are not judged by then are held back, too

Plan = Callable[[], Slices[NodeDesired]]


class CulpritError(Exception):
    """A plan failed for one object; the cause says what it was.

    Args:
        name: The object.
    """

    def __init__(self, name: ObjectName) -> None:
        super().__init__(str(name))
        self.name = name


@contextmanager
def blaming(kind: str, name: str) -> Iterator[None]:
    """Name an object as the cause of what is raised inside.

    Raises:
        CulpritError: Anything was raised.
    """
    try:
        yield
    except CulpritError:
        raise
    except Exception as error:
        raise CulpritError(ObjectName(kind, name)) from error


def plan_around(objects: ObjectTable, plan: Plan) -> Slices[NodeDesired]:
    """Return a plan, made without the objects that break planning.

    Args:
        objects: What plans are made of; objects may be put back.
        plan: Makes one of what ``objects`` holds.

    Raises:
        Exception: No object is to blame that changed since a plan last succeeded.
    """
    try:
        found = yield from plan()
    except Exception as error:  # noqa: BLE001  # whatever an object leads to
        found = yield from _Search(objects, plan).run(error)
    objects.unplanned.clear()
    return found


class _Search:
    """One search for the objects that a plan cannot be made with."""

    def __init__(self, objects: ObjectTable, plan: Plan) -> None:
        self._objects = objects
        self._plan = plan
        self._before = dict(objects.unplanned)
        self._tries = MOST_TRIES
        self._error: Exception | None = None
        self._found: NodeDesired | None = None

    def run(self, error: Exception) -> Slices[NodeDesired]:
        self._error = error
        blamed: set[ObjectName] = set()
        while isinstance(self._error, CulpritError) and self._tries:
            name = self._error.name
            if name not in self._before or name in blamed:
                break  # it was sound, and is no more beside what others are now
            blamed.add(name)
            self._blame(name, self._error)
            if (yield from self._succeeds()) and self._found is not None:
                return self._found
        return (yield from self._halve())

    def _blame(self, name: ObjectName, error: Exception) -> None:
        why = f"cannot plan with it: {describe(error.__cause__ or error)}"
        self._objects.hold_back(name, self._before[name], why)

    def _succeeds(self) -> Slices[bool]:
        self._tries -= 1
        try:
            self._found = yield from self._plan()
        except Exception as error:  # noqa: BLE001  # whatever an object leads to
            self._error = error
            return False
        return True

    def _halve(self) -> Slices[NodeDesired]:
        """Put all changed objects back, then let in again those that do no harm.

        Raises:
            Exception: Without them it fails as well; all is as it was before.
        """
        objects, error = self._objects, self._error
        now = {name: objects.by_kind[name.kind].get(name.name) for name in self._before}
        for name, resource in self._before.items():
            objects.set(name, resource)
        if not (yield from self._succeeds()):
            for name, resource in now.items():
                objects.set(name, resource)
            raise self._error or RuntimeError("no plan") from error
        waiting = [list(now)]
        while waiting:
            some = waiting.pop()
            for name in some:
                objects.set(name, now[name])
            if self._tries > 0 and (yield from self._succeeds()):
                continue
            for name in some:
                objects.set(name, self._before[name])
            if self._tries > 0 and len(some) > 1:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
                continue
            for name in some:
                self._error = self._error or error
                self._blame(name, self._error or RuntimeError("no plan"))
        if self._found is None:
            raise RuntimeError("no plan") from error
        return self._found

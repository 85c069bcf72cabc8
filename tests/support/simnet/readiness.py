"""What is ready: an epoll of simulated sockets, and the selector of the loop."""

import errno
import os
import selectors
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT
from typing import Any

_ALWAYS = EPOLLERR | EPOLLHUP  # reported whether asked for or not
_FIRST_NUMBER = 1 << 20  # no descriptor of the kernel's has it


class Watchable(ABC):
    """Something with a descriptor that becomes ready.

    Attributes:
        number: The descriptor.
        watchers: Those who want to know.
    """

    def __init__(self, table: "DescriptorTable") -> None:
        self.number = table.add(self)
        self.watchers: dict[SimReadiness, None] = {}

    @abstractmethod
    def events(self) -> int:
        """Return what it is ready for, as epoll(7) has it."""

    def note(self) -> None:
        """It may have become ready."""
        for watcher in tuple(self.watchers):
            watcher.consider(self.number)


class DescriptorTable:
    """All descriptors of a simulation."""

    def __init__(self) -> None:
        self._next = _FIRST_NUMBER
        self._things: dict[int, Watchable] = {}

    def __len__(self) -> int:
        return len(self._things)

    def add(self, thing: Watchable) -> int:
        """Return a descriptor of its own for a thing; none is given twice."""
        number, self._next = self._next, self._next + 1
        self._things[number] = thing
        return number

    def remove(self, number: int) -> None:
        """Close a descriptor and take it from everything that watches it."""
        thing = self._things.pop(number)
        for watcher in tuple(thing.watchers):
            watcher.unregister(number)

    def find(self, number: int) -> Watchable:
        """Return what has a descriptor.

        Raises:
            OSError: It is closed, or one of the kernel's, which nothing here can watch.
        """
        try:
            return self._things[number]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF)) from None


class SimReadiness(Watchable):
    """Level-triggered readiness of simulated sockets; see ``bgpd.net.network.Readiness``."""

    def __init__(self, table: DescriptorTable) -> None:
        super().__init__(table)
        self.closed = False
        self._table = table
        self._watched: dict[int, tuple[Watchable, int]] = {}
        self._candidates: dict[int, None] = {}  # ready ones, and some that were

    def fileno(self) -> int:
        return self.number

    def register(self, fd: int, eventmask: int) -> None:
        thing = self._table.find(fd)
        if fd in self._watched:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        thing.watchers[self] = None
        self._watched[fd] = thing, eventmask
        self.consider(fd)

    def modify(self, fd: int, eventmask: int) -> None:
        if fd not in self._watched:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        thing, _ = self._watched[fd]
        self._watched[fd] = thing, eventmask
        self.consider(fd)

    def unregister(self, fd: int) -> None:
        thing, _ = self._watched.pop(fd)
        del thing.watchers[self]
        self._candidates.pop(fd, None)

    def consider(self, fd: int) -> None:
        """One of them may have become ready."""
        if self._ready_for(fd):
            self._candidates[fd] = None
            self.note()

    def _ready_for(self, fd: int) -> int:
        thing, wanted = self._watched[fd]
        return thing.events() & (wanted | _ALWAYS)

    def poll(self, timeout: float = 0, maxevents: int = -1) -> list[tuple[int, int]]:
        """Return what is ready; those returned go last the next time."""
        assert timeout == 0, "time does not pass in here"
        found: list[tuple[int, int]] = []
        for fd in tuple(self._candidates):
            if len(found) == maxevents:
                break
            del self._candidates[fd]
            if events := self._ready_for(fd):
                found.append((fd, events))
                self._candidates[fd] = None
        return found

    def events(self) -> int:
        return EPOLLIN if any(map(self._ready_for, self._candidates)) else 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            for fd in tuple(self._watched):
                self.unregister(fd)
            self._table.remove(self.number)


class VirtualSelector(selectors.BaseSelector):
    """The selector of a loop; where nothing is ready, time jumps.

    Args:
        table: Has the descriptors.
        jump: Called with the seconds to the next timer, ``None`` without one.
    """

    def __init__(
        self, table: DescriptorTable, jump: Callable[[float | None], None]
    ) -> None:
        self._inner = SimReadiness(table)
        self._keys = _Keys()
        self._jump = jump

    def register(self, fileobj: Any, events: int, data: Any = None) -> Any:
        fd = _number_of(fileobj)
        self._inner.register(fd, _mask(events))
        self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        return self._keys[fd]

    def modify(self, fileobj: Any, events: int, data: Any = None) -> Any:
        fd = _number_of(fileobj)
        self._inner.modify(fd, _mask(events))
        self._keys[fd] = selectors.SelectorKey(fileobj, fd, events, data)
        return self._keys[fd]

    def unregister(self, fileobj: Any) -> Any:
        fd = _number_of(fileobj)
        key = self._keys.pop(fd)
        self._inner.unregister(fd)
        return key

    def get_map(self) -> Mapping[Any, Any]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[Any, int]]:
        ready = self._inner.poll()
        if not ready and (timeout is None or timeout > 0):
            self._jump(timeout)
            ready = self._inner.poll()
        return [(self._keys[fd], _events(mask)) for fd, mask in ready]

    def close(self) -> None:
        self._keys.clear()
        self._inner.close()


class _Keys(dict[Any, selectors.SelectorKey]):
    """Keys by descriptor, found by the object that has it, too."""

    def __missing__(self, fileobj: Any) -> selectors.SelectorKey:
        if isinstance(fileobj, int):
            raise KeyError(fileobj)
        return self[_number_of(fileobj)]

    def get(self, fileobj: Any, default: Any = None) -> Any:
        return super().get(_number_of(fileobj), default)


def _number_of(fileobj: Any) -> int:
    return fileobj if isinstance(fileobj, int) else int(fileobj.fileno())


def _mask(events: int) -> int:
    readable = EPOLLIN if events & selectors.EVENT_READ else 0
    return readable | (EPOLLOUT if events & selectors.EVENT_WRITE else 0)


def _events(mask: int) -> int:
    readable = selectors.EVENT_READ if mask & ~EPOLLOUT else 0
    return readable | (selectors.EVENT_WRITE if mask & ~EPOLLIN else 0)

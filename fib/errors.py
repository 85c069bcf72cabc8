"""The one exception of this package: the kernel's table cannot be worked with at all.

A route the kernel refuses is not an exception: it is a ``Fault`` kept beside its prefix.
"""


class FibError(Exception):
    """The kernel cannot be reached or refuses us altogether.

    Attributes:
        errno: The kernel's error number; 0 without one.
    """

    def __init__(self, text: str, errno: int = 0) -> None:
        super().__init__(text)
        self.errno = errno

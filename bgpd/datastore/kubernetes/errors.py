"""What goes wrong with Kubernetes' API."""

from typing import NamedTuple


class ApiError(Exception):
    """The API said no, or something that cannot be understood.

    Attributes:
        code: HTTP status; 0 without one.
        retry_after: Seconds that the server asks to wait.
        is_too_new: The server does not know the requested version yet: its cache is
            behind, or it was restored from a backup.
    """

    def __init__(
        self,
        text: str,
        code: int = 0,
        retry_after: float = 0.0,
        *,
        is_too_new: bool = False,
    ) -> None:
        super().__init__(text)
        self.code = code
        self.retry_after = retry_after
        self.is_too_new = is_too_new

    def at(self, server: str) -> "ApiError":
        """Return the same error, whose text names the server."""
        return ApiError(
            f"{server}: {self}",
            self.code,
            self.retry_after,
            is_too_new=self.is_too_new,
        )


class Unreadable(NamedTuple):
    """One object that cannot be read, among others that can.

    Attributes:
        name: Of the object; empty where not even that can be read.
        problem: What is wrong with it, as ``has 3000000 octets; ...``.
    """

    name: str
    problem: str

"""What goes wrong with Kubernetes' API."""


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

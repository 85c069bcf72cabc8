"""What an exception says, for people. Pure."""


def text_of(error: BaseException) -> str:
    """Return what an exception says, or its name if it says nothing."""
    return str(error) or type(error).__name__

"""What ends a start or a reload; the texts are for the user."""


class StartError(Exception):
    """The daemon cannot start; the text is for the user."""


class MisconfigurationError(StartError):
    """It cannot start until its configuration is another one."""


class ReloadError(Exception):
    """The configuration was not applied; the text is for the user."""

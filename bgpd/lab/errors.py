"""What can go wrong in a lab."""


class LabError(Exception):
    """A lab cannot be built or asked: a command failed, or something never came up.

    The message says what was tried and what the command answered.
    """


class TopologyError(LabError):
    """A topology file is wrong; one line per error, each ``file:line: key: reason``."""

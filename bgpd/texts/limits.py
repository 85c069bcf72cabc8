"""What a text may hold. Pure.

A text is judged before it is worked on: its octets before it is decoded, its depth and its
values as they are met. An alias counts for all that it stands for, so that 500 octets cannot
become gigabytes.
"""

from typing import Final, NamedTuple

MAX_DIGITS: Final = 40  # of a number; 128 bits have 39
MIB: Final = 1 << 20


class TextError(ValueError):
    """A text cannot be used.

    Attributes:
        problem: What was found, and what was expected.
        line: Counted from 1; 0 where it is about the whole.
        column: As ``line``.
    """

    def __init__(self, problem: str, line: int = 0, column: int = 0) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line
        self.column = column

    def __str__(self) -> str:
        """Return the problem, with its line if known."""
        return f"line {self.line}: {self.problem}" if self.line else self.problem


class LimitError(TextError):
    """A text is sound as far as it was read, but more than is taken."""


class Limits(NamedTuple):
    """What is taken of one text.

    Attributes:
        octets: As stored, and of all its scalars once aliases are unfolded.
        nodes: Values, keys among them, once aliases and merges are unfolded.
        depth: Levels of mappings and lists.
    """

    octets: int
    nodes: int
    depth: int

    def check_octets(self, count: int) -> None:
        """Refuse a text for its size.

        Raises:
            LimitError: It is larger.
        """
        if count > self.octets:
            raise LimitError(f"has {count} octets; the limit is {self.octets}")


# 20,000 peers with ten keys each are 4 MiB and 420,000 values. Half a million values that are
# all wrong take 0.8 GiB to tell apart.
CONFIGURATION: Final = Limits(8 * MIB, 500_000, 32)
# A list of all nodes of a cluster, as `calicoctl get nodes -o yaml` prints it, is 1.5 KiB and
# about 100 values a node.
MANIFESTS: Final = Limits(16 * MIB, 1_000_000, 64)
# One object is taken in without a break: 12,000 prefixes in it would hold the loop for 0.3 s.
# A BGPFilter of 1,000 rules is 100 KiB and 8,000 values.
VALUE: Final = Limits(256 << 10, 10_000, 64)
AFFINITY: Final = Limits(4_096, 64, 8)
ENDPOINT_STATUS: Final = Limits(64 << 10, 4_096, 16)
# One answer of Kubernetes' API with several objects.
ANSWER: Final = Limits(4 * MIB, 500_000, 64)
# One object of it, which is decoded without a break, in 30 ms at most. A server takes 1.5 MiB
# of one, in a denser form; an EndpointSlice of 1,000 endpoints has 25,000 values.
API_OBJECT: Final = Limits(2 * MIB, 60_000, 64)
KUBECONFIG: Final = Limits(1 * MIB, 20_000, 32)
TOPOLOGY: Final = Limits(1 * MIB, 100_000, 32)
LAB_STATE: Final = Limits(1 * MIB, 100_000, 8)
REQUEST: Final = Limits(64 << 10, 256, 8)
CASE: Final = Limits(64 * MIB, 10_000_000, 64)
PASSWORD_OCTETS: Final = 4_096
NAME_OCTETS: Final = 4_096
CERTIFICATE_OCTETS: Final = 4 * MIB

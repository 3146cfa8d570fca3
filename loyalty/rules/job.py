"""Jobs: their kinds, their states, their arguments and their results."""

from dataclasses import dataclass

from loyalty.rules.described_enum import DescribedEnum


class JobState(DescribedEnum):
    """How far a background job has come."""

    WAITING = "WAITING", "Not begun."
    RUNNING = "RUNNING", "Under way."
    DONE = "DONE", "Finished."
    FAILED = "FAILED", "Given up; `problem` tells why."


class JobKind(DescribedEnum):
    """What a background job does. More kinds may come."""

    RETIER = "RETIER", "Puts every customer into the tier they qualify for."


@dataclass(frozen=True, slots=True)
class ReTierArguments:
    """The arguments of RETIER: there are none. Each batch uses the program of its time."""


@dataclass(frozen=True, slots=True)
class ReTierResult:
    """The result of RETIER so far: how many customers moved to a higher tier, and how many to a lower one."""

    upgraded: int = 0
    downgraded: int = 0

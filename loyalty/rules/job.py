"""Work in the background that somebody has asked for: its kinds, and what each is asked and gives."""

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
    """What RETIER is asked: nothing but to do it, by the program as it is when each batch runs."""


@dataclass(frozen=True, slots=True)
class ReTierResult:
    """What RETIER did so far: how many customers came into a higher tier, and how many fell into a lower one."""

    upgraded: int = 0
    downgraded: int = 0

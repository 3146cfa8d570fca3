"""Work in the background that somebody has asked for."""

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

"""What was left out of an input, or corrected in it, without harm: said to the caller, never done in silence."""

from typing import NamedTuple

from loyalty.rules.described_enum import DescribedEnum


class WarningCode(DescribedEnum):
    """What became of a value that does not hold what it should. More codes may come."""

    LEFT_OUT = "LEFT_OUT", "It is no value of the field; the input was taken as if the field were absent."
    CORRECTED = "CORRECTED", "It was written in another form, and was taken in the form that the field has."


class InputWarning(NamedTuple):
    """One value that was left out or corrected; the rest of the input was taken as it is."""

    code: WarningCode
    path: tuple[str, ...]
    reason: str

    def below(self, *path: str) -> "InputWarning":
        """The same warning as it reads from further up in the input."""
        return self._replace(path=(*path, *self.path))

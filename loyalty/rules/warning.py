"""Warnings: values of an input that were left out or corrected without harm. The caller is always told."""

from typing import NamedTuple

from loyalty.rules.described_enum import DescribedEnum


class WarningCode(DescribedEnum):
    """What became of a value that does not hold what it should. More codes may come."""

    LEFT_OUT = "LEFT_OUT", "It is no value of the field; the input was taken as if the field were absent."
    CORRECTED = "CORRECTED", "It was written in another form, and was taken in the form that the field has."


class InputWarning(NamedTuple):
    """One value that was left out or corrected. The rest of the input was accepted unchanged."""

    code: WarningCode
    path: tuple[str, ...]
    reason: str

    def below(self, *path: str) -> "InputWarning":
        """Return the same warning with a longer path, for an input that contains this one at `path`."""
        return self._replace(path=(*path, *self.path))

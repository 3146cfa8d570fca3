"""What the proof asks: rows that one pass gathers, and what must not be true of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Broken(NamedTuple):
    """What a row of a source must not be, and which columns tell a person what is wrong."""

    when: str
    shows: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Rows that one pass gathers, and the invariants that are asked of them."""

    rows: str
    invariants: Mapping[str, Broken]

    @property
    def sliced_by(self) -> str | None:
        """What its rows can be cut into slices by: the ids of customers, the ids that it joins by, or nothing."""
        return next((by for by in ("customer", "id") if f":first_{by}" in self.rows), None)

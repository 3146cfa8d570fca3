"""The form of a question: the rows that one pass reads, and the conditions that no row may fulfil."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Broken(NamedTuple):
    """The SQL condition `when` that no row of a source may fulfil. The columns `shows` explain a broken row."""

    when: str
    shows: str


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A query for the rows of one pass, and the invariants that are checked on these rows."""

    rows: str
    invariants: Mapping[str, Broken]

    @property
    def sliced_by(self) -> str | None:
        """How the rows are cut into slices: by ids of customers (`customer`) or by the ids of the joins (`id`).

        None for rows that are read at once.
        """
        return next((by for by in ("customer", "id") if f":first_{by}" in self.rows), None)

"""The form of one part of the posting statement: it writes the rows of one class into their table."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class PostedRow(Protocol):
    """A row of a posting: a NamedTuple."""

    @property
    def _fields(self) -> tuple[str, ...]: ...

    def __iter__(self) -> Iterator[Any]: ...


Documents = Mapping[str, Callable[[Any], Any]]
"""Functions that turn the values of some fields into JSON documents."""


Computed = Mapping[str, Callable[[Any], Any]]
"""Functions that build the SQL of a column that the database computes from the other columns of a row."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of the posting statement: it writes the rows of one class into their table.

    ``name`` is the JSON parameter with the rows. A ``counted`` part returns the rows that it has written: if they are
    fewer than were sent, another transaction was faster. If a part ``races``, a violated constraint means the same.
    ``beside`` has statements that replace ``statement`` when the posting also has rows of the named part. ``also`` has
    statements that run in addition.
    """

    name: str
    statement: Any
    fields: tuple[str, ...]
    key: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    documents: Documents = field(default_factory=dict)
    counted: bool = False
    races: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)
    also: Mapping[str, Any] = field(default_factory=dict)

    def encode(self, row: PostedRow, seen: PostedRow | None = None) -> dict[str, Any]:
        """Return a row as a JSON object.

        ``seen`` is the row as it was read. Its values that must not have changed are added as ``seen_…``.
        """
        if self.fields == row._fields:
            values = dict(zip(self.fields, row, strict=True))
        else:
            values = {name: getattr(row, name) for name in self.fields}
        for name, encoded in self.documents.items():
            if name in values:
                values[name] = encoded(values[name])
        for name in self.seen:
            values[f"seen_{name}"] = getattr(seen, name)
        return values

    def statements(self, names: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Yield the name and the statement of each CTE that this part adds to a posting.

        ``names`` are the parts that have rows in the posting; ``beside`` depends on them.
        """
        others = [statement for name, statement in self.beside.items() if name in names]
        yield f"saved_{self.name}", others[0] if others else self.statement
        yield from self.also.items()

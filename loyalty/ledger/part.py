"""One part of the posting statement: how rows of one class reach their table."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol


class PostedRow(Protocol):
    """A row of a posting: a NamedTuple."""

    def _asdict(self) -> dict[str, Any]: ...


Documents = Mapping[str, Callable[[Any], Any]]
"""How fields that the database keeps as JSON documents are turned into them."""


Computed = Mapping[str, Callable[[Any], Any]]
"""Columns that the database computes from the others of a row, as SQL over them."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One part of the posting statement: how rows of one class reach their table.

    ``name`` is the JSON parameter of the rows. A ``counted`` part returns the rows it has written: fewer than were sent
    mean that another transaction was faster. A violated constraint means the same where a part ``races``. ``beside``
    are statements to take in place of ``statement`` where the posting has rows of another part too; ``also`` are
    statements that run besides it.
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
        """A row as it travels, with the values that it was read with as ``seen_…``."""
        values = row._asdict()
        if len(self.fields) != len(values):
            values = {name: values[name] for name in self.fields}
        for name, encoded in self.documents.items():
            if name in values:
                values[name] = encoded(values[name])
        for name in self.seen:
            values[f"seen_{name}"] = getattr(seen, name)
        return values

    def statements(self, names: Collection[str]) -> Iterator[tuple[str, Any]]:
        """Yield the name and the statement of each CTE that this part adds to a posting.

        ``names`` are the parts that have rows in the posting; some parts are written otherwise beside others.
        """
        others = [statement for name, statement in self.beside.items() if name in names]
        yield f"saved_{self.name}", others[0] if others else self.statement
        yield from self.also.items()

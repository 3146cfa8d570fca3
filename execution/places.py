"""The place of a value in the answer. A place is searched only after a failure, so a success costs nothing.

One value may stand at several spots: a row that many parents share is completed once.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, Protocol

FAILED: Final[Any] = type("Failed", (), {"__repr__": lambda _self: "FAILED"})()
"""Replaces a value that failed at a position that must not be null, until the failure reaches a nullable position."""


class Spot(NamedTuple):
    """One position in the answer, with the way from the root.

    ``order`` holds the numbers that sort positions in the order of the document: the number of a field in its
    selection, of an item in its list. ``nullable`` says for each position on the way whether it may be null.
    """

    path: tuple[str | int, ...]
    order: tuple[int, ...]
    nullable: tuple[bool, ...]

    def below(self, key: str | int, order: int, *, nullable: bool) -> "Spot":
        """Return the position of a field or item below this one."""
        return Spot((*self.path, key), (*self.order, order), (*self.nullable, nullable))

    def find_nulled_path(self) -> tuple[str | int, ...]:
        """Return the path that becomes null if this position fails; empty if all data become null."""
        for length in range(len(self.path), 0, -1):
            if self.nullable[length - 1]:
                return self.path[:length]
        return ()


class Place(Protocol):
    """The place of a list of values."""

    def find_spots(self, index: int) -> Iterator[Spot]:
        """Return the positions of one value, in the order of the document."""


class RootPlace:
    """The place of the root value."""

    __slots__ = ()

    def find_spots(self, index: int) -> Iterator[Spot]:  # noqa: ARG002 - there is one root value
        """Return the one position above all fields."""
        yield Spot((), (), ())


class FieldPlace:
    """The place of the values of one field: one value for each object of a list."""

    __slots__ = ("key", "nullable", "order", "parents")

    def __init__(self, parents: Place, key: str, order: int, *, nullable: bool) -> None:
        self.parents = parents
        self.key = key
        self.order = order
        self.nullable = nullable

    def find_spots(self, index: int) -> Iterator[Spot]:
        """Return the field's position in each position of its object."""
        for spot in self.parents.find_spots(index):
            yield spot.below(self.key, self.order, nullable=self.nullable)


class ItemPlace:
    """The place of the items of several lists, one list after the other."""

    __slots__ = ("_ends", "lengths", "lists", "nullable", "owners")

    def __init__(self, lists: Place, owners: Sequence[int], lengths: Sequence[int], *, nullable: bool) -> None:
        self.lists = lists
        self.owners = owners
        self.lengths = lengths
        self.nullable = nullable
        self._ends: list[int] | None = None

    def find_spots(self, index: int) -> Iterator[Spot]:
        """Return the item's position in each position of its list."""
        if self._ends is None:
            self._ends = list(accumulate(self.lengths))
        ends = self._ends
        number = bisect_right(ends, index)
        within = index - (ends[number - 1] if number else 0)
        for spot in self.lists.find_spots(self.owners[number]):
            yield spot.below(within, within, nullable=self.nullable)


class ChosenPlace:
    """The place of some values of a list. Each of them may stand there several times.

    ``owners`` are the indexes of the list that have a value. ``numbers`` gives for each of them the number of its
    chosen value.
    """

    __slots__ = ("_owners_of", "numbers", "owners", "values")

    def __init__(self, values: Place, owners: Sequence[int], numbers: Sequence[int]) -> None:
        self.values = values
        self.owners = owners
        self.numbers = numbers
        self._owners_of: defaultdict[int, list[int]] | None = None

    def find_spots(self, index: int) -> Iterator[Spot]:
        """Return all positions of the chosen value."""
        if self._owners_of is None:
            self._owners_of = defaultdict(list)
            for owner, number in zip(self.owners, self.numbers, strict=True):
                self._owners_of[number].append(owner)
        for owner in self._owners_of[index]:
            yield from self.values.find_spots(owner)


ROOT: Final = RootPlace()

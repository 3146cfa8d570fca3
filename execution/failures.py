"""What failed while an operation ran, and the errors that its answer tells of it."""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from graphql import FieldNode, GraphQLError, located_error

from execution.pace import CALL_STEPS, Pace
from execution.places import Place, Spot

MAX_SPOTS = 1_000
"""Positions of one failure that are looked at: a shared row that failed may stand in the answer thousands of times."""


class Failure(NamedTuple):
    """A value that failed: where, the how-manyth there, which field nodes asked for it, and why."""

    place: Place
    number: int
    nodes: Sequence[FieldNode]
    error: Exception


async def locate_failures(failures: Sequence[Failure], pace: Pace) -> list[GraphQLError]:
    """The errors of an answer in the order of the document.

    As in graphql-core, a failure below a position that an earlier failure has made null is not told.
    """
    found: list[tuple[Spot, Failure]] = []
    for failure in failures:
        spots = list(islice(failure.place.find_spots(failure.number), MAX_SPOTS))
        await pace.wait(len(spots))
        found += [(spot, failure) for spot in spots]
    found.sort(key=lambda pair: pair[0].order)
    nulled: set[tuple[str | int, ...]] = set()
    errors = []
    for spot, failure in found:
        path = spot.find_nulled_path()
        if nulled and any(path[:length] in nulled for length in range(len(path) + 1)):
            continue
        nulled.add(path)
        await pace.wait(CALL_STEPS)
        errors.append(located_error(failure.error, list(failure.nodes), list(spot.path)))
    return errors

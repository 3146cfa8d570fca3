"""The failures of an operation while it runs, and the errors about them in its answer."""

from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from graphql import FieldNode, GraphQLError, located_error

from execution.pace import CALL_STEPS, Pace
from execution.places import Place, Spot

MAX_SPOTS = 1_000
"""The number of positions of one failure that are searched: a shared row may stand in the answer thousands of times."""


class Failure(NamedTuple):
    """A value that failed: its place, its index there, the field nodes that asked for it, and the error."""

    place: Place
    number: int
    nodes: Sequence[FieldNode]
    error: Exception


async def locate_failures(failures: Sequence[Failure], pace: Pace) -> list[GraphQLError]:
    """Return the errors of an answer in the order of the document.

    As in graphql-core, a failure is left out if an earlier failure has made a position above it null.
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

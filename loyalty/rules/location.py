"""Scopes of locations of members and API tokens, and the location of an operation.

A location is named by its external id in the catalogue, as purchases name it.
"""

from collections.abc import Collection, Sequence

from loyalty.rules.errors import InvalidInput, NotFound, Problem, refuse_problems
from loyalty.rules.text import check_external_id, tidy_id

MAX_SCOPE_LOCATIONS = 100
"""The most locations in the scope of one member or API token."""
PATH = ("location",)
SCOPE_PATH = ("locations",)

Scope = frozenset[str] | None
"""The external ids of the locations that somebody is limited to; None for the whole business."""


def tidy_locations(ids: Sequence[str] | None) -> list[str] | None:
    """Return the locations of a scope in stored form; None for the whole business."""
    return None if ids is None else [tidy_id(one) or one for one in ids]


def check_locations(ids: Sequence[str] | None) -> list[Problem]:
    """Return what is wrong with the locations of a scope, such as one that is named twice."""
    if ids is None:
        return []
    if not 1 <= len(ids) <= MAX_SCOPE_LOCATIONS:
        return [Problem(SCOPE_PATH, f"must name 1 to {MAX_SCOPE_LOCATIONS} locations; null is the whole business")]
    problems: list[Problem] = []
    seen: set[str] = set()
    for place, one in enumerate(tidy_locations(ids) or ()):
        path = (*SCOPE_PATH, str(place))
        problem = check_external_id(ids[place], path)
        if problem is None and one in seen:
            problem = Problem(path, "must be named once")
        seen.add(one)
        problems += [] if problem is None else [problem]
    return problems


def is_in_scope(scope: Scope, location: str | None) -> bool:
    """Tell whether a location is in a scope. No location (None) is only in the scope of the whole business (None)."""
    return scope is None or location in scope


def is_hold_in_scope(scope: Scope, location: str | None) -> bool:
    """Tell whether somebody with this scope may capture or release a hold, and see it by its id.

    A hold without a location, such as one made by an app, is open to every counter.
    """
    return location is None or is_in_scope(scope, location)


def refuse_hold_elsewhere(scope: Scope, location: str | None) -> None:
    """Raise NotFound for a hold at a location outside the scope."""
    if not is_hold_in_scope(scope, location):
        raise NotFound("hold", ("hold",))


def is_scope_within(scope: Collection[str] | None, wider: Collection[str] | None) -> bool:
    """Tell whether all locations of a scope are in a wider scope. None is the whole business, in both places."""
    return wider is None or (scope is not None and set(scope) <= set(wider))


def choose_location(scope: Scope, given: str | None) -> str | None:
    """Return the location of an operation: the given one, or else the only one of the caller's scope.

    None if none is given and the scope has several, or is the whole business.
    """
    if given is None and scope is not None and len(scope) == 1:
        return next(iter(scope))
    return given


def check_location_id(given: str | None) -> Problem | None:
    """Return what is wrong with the id of a location that may be left out; None if it can be stored."""
    return None if given is None else check_external_id(given, PATH)


def check_location(scope: Scope, given: str | None) -> Problem | None:
    """Return why a caller with this scope cannot work at the given location; None if it can.

    A caller with a scope must name one of its locations. If the scope has only one, the caller may leave it out.
    """
    problem = check_location_id(given)
    if problem is None and not is_in_scope(scope, choose_location(scope, given)):
        return Problem(PATH, "must name one of the locations that you work at")
    return problem


def choose_capture_location(scope: Scope, held_at: str | None, given: str | None) -> str | None:
    """Return the location at which a hold is captured.

    It is the location of the hold (``held_at``). If the hold has none, it is the one that the capture names, by the
    rules of `check_location`. Raises InvalidInput for a location that these rules refuse, and for another location than
    that of the hold.
    """
    if held_at is None:
        refuse_problems([check_location(scope, given)])
        return choose_location(scope, given)
    if given not in {None, held_at}:
        raise InvalidInput.one(*PATH, reason="must be the location of the hold; it may be left out")
    return held_at

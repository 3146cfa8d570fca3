"""The location of a purchase, hold or adjustment, and scopes of locations."""

from typing import Any

import strawberry

from loyalty.rules.location import MAX_SCOPE_LOCATIONS


def location_field(did: str) -> Any:
    """Declare the ``location`` at which something happened."""
    return strawberry.field(
        description=f"External id of the location where it was {did}; null where nobody has told one."
    )


def capture_location_input() -> Any:
    """The ``location`` of the capture of a hold."""
    return strawberry.field(
        default=None,
        description="External id of the location where it is captured, 1 to 255 characters, for a hold that names "
        "none. A hold that names one is captured there, and another one is refused. Who is limited to locations names "
        "one of these; it may be left out where there is only one.",
    )


def location_input() -> Any:
    """The ``location`` of an input, which a caller without a scope may leave out."""
    return strawberry.field(
        default=None,
        description="External id of the location where it happens, 1 to 255 characters. Who is limited to locations "
        "names one of these; it may be left out where there is only one.",
    )


def scope_field(whose: str) -> Any:
    """Declare the ``locations`` to which a member, a token or the caller is limited."""
    return strawberry.field(
        description=f"External ids of the locations that {whose} limited to; null for the whole business."
    )


def scope_input(default: Any = None) -> Any:
    """Declare the ``locations`` of an input that sets a scope of locations."""
    return strawberry.field(
        default=default,
        description=f"External ids of the locations that the work is limited to, 1 to {MAX_SCOPE_LOCATIONS}, each "
        "named once; each is a LOCATION of the catalogue. Null: the whole business. Refused if "
        "the actor has a permission about the whole business: only permissions for work at a counter can be limited.",
    )

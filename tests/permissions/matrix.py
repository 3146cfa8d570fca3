"""Who reaches which operation, by which permission: the tables that are checked in, written from the schema.

``python -m tests.permissions.matrix`` writes them again. Tests compare them with what the running product answers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from strawberry.types import get_object_definition
from strawberry.utils.str_converters import to_camel_case

from permissions.catalog import SELF_PERMISSIONS, Permission
from permissions.roles import ROLE_PERMISSIONS, Role
from schema.guard import FOR_PEOPLE, REQUIRES
from schema.root import Mutation, Query, Subscription

FILE = Path(__file__).with_name("matrix.txt")
ALONE_FILE = Path(__file__).with_name("alone.txt")

PARTNER = ROLE_PERMISSIONS[Role.INTEGRATION]
"""What the API token and the OAuth client of the table were made with."""

CALLERS: Mapping[str, frozenset[Permission]] = {
    **{role.name: ROLE_PERMISSIONS[role] for role in Role if role is not Role.INTEGRATION},
    "API_TOKEN": PARTNER,
    "OAUTH_CLIENT": PARTNER,
}
"""Every kind of caller with a credential, and what it may do."""

NOBODY = "NOBODY"
"""A caller without a credential."""

HEAD = """\
# Who reaches an operation at all: yes, or - for FORBIDDEN (for NOBODY it is UNAUTHENTICATED). What they see there, and
# whose it may be, is narrower. API_TOKEN and OAUTH_CLIENT have the permissions of a booking system. ONE_OF names the
# permissions that open an operation: one of them is enough. docs/reference/permissions.md describes them.
# Written from the schema by `make refusals`; a test asks the running product about every cell.

"""

HOLDERS = ("PERSON", "API_TOKEN", "CUSTOMER")
"""Who may hold a permission, as the table of single permissions counts them."""

ALONE_HEAD = """\
# Which permissions open an operation, each held alone: by a person of the team, by an API token (also one that could
# not be made with it today), by a customer. - is none, "any" is every permission that the holder can have.
# SELF_READ and SELF_REDEEM open nothing for people of the team and API tokens.
# Written from the schema by `make refusals`; a test asks the running product with every permission.

"""

Reaches = Callable[[str, str], bool]
"""Whether a caller, by a name of `CALLERS` or NOBODY, reaches an operation."""


def operations() -> Iterator[tuple[str, frozenset[Permission]]]:
    """Yield every root field with its permissions, of which one is enough; none if any credential is enough."""
    for root in (Query, Mutation, Subscription):
        for field in get_object_definition(root, strict=True).fields:
            yield to_camel_case(field.python_name), frozenset(field.metadata[REQUIRES])


def write_matrix(names: Iterable[str], reaches: Reaches) -> str:
    """Return the table for these operations."""
    callers, needed = (*CALLERS, NOBODY), dict(operations())
    rows = [("operation", *callers, "ONE_OF")]
    rows += [
        (name, *("yes" if reaches(caller, name) else "-" for caller in callers), _list_permissions(needed[name]))
        for name in names
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return HEAD + "\n".join(lines) + "\n"


def write_single_permissions(names: Iterable[str], opens: Callable[[str, str, Permission], bool]) -> str:
    """Return the table of single permissions; ``opens`` says whether a permission opens an operation for a holder."""
    return ALONE_HEAD + "".join(
        f"{name}\n" + "".join(f"  {holder:<9}  {_list_openers(holder, name, opens)}\n" for holder in HOLDERS)
        for name in names
    )


def _list_openers(holder: str, name: str, opens: Callable[[str, str, Permission], bool]) -> str:
    asked = list_askable(holder)
    found = [one for one in asked if opens(holder, name, one)]
    return "any" if found == asked else ", ".join(one.name for one in found) or "-"


def list_askable(holder: str) -> list[Permission]:
    """Return the permissions that such a holder can have: a customer only those over themself."""
    return [one for one in Permission if holder != "CUSTOMER" or one in SELF_PERMISSIONS]


def single_permissions_of_schema() -> str:
    """Return the table of single permissions as the schema declares it."""
    needed, for_people = dict(operations()), set(_operations_for_people())

    def opens(holder: str, name: str, permission: Permission) -> bool:
        if name in for_people and holder != "PERSON":
            return False
        if not needed[name]:
            return True
        return permission in needed[name] and (holder == "CUSTOMER") == (permission in SELF_PERMISSIONS)

    return write_single_permissions(needed, opens)


def _operations_for_people() -> Iterator[str]:
    for field in get_object_definition(Mutation, strict=True).fields:
        if field.metadata[FOR_PEOPLE]:
            yield to_camel_case(field.python_name)


def _list_permissions(needed: frozenset[Permission]) -> str:
    return ", ".join(one.name for one in Permission if one in needed) or "any credential"


def matrix_of_schema() -> str:
    """Return the table as the schema declares it."""
    needed = dict(operations())

    def reaches(caller: str, name: str) -> bool:
        return caller != NOBODY and (not needed[name] or bool(needed[name] & CALLERS[caller]))

    return write_matrix(needed, reaches)


def listed_operations() -> list[str]:
    """Return the operations of the table that is checked in, in its order."""
    lines = [line for line in FILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [line.split()[0] for line in lines[1:]]


if __name__ == "__main__":
    FILE.write_text(matrix_of_schema(), "utf-8")
    ALONE_FILE.write_text(single_permissions_of_schema(), "utf-8")

"""Who reaches which operation: the table that is checked in, and how it is written from the schema.

``python -m tests.permissions.matrix`` writes it anew. A test compares it with what the running product answers.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from permissions.catalog import Permission
from permissions.roles import ROLE_PERMISSIONS, Role
from tests.docs.refusals import operations

FILE = Path(__file__).with_name("matrix.txt")

PARTNER = ROLE_PERMISSIONS[Role.INTEGRATION]
"""What the API token and the OAuth client of the table were made with."""

CALLERS: Mapping[str, frozenset[Permission]] = {
    **{role.name: ROLE_PERMISSIONS[role] for role in Role if role is not Role.INTEGRATION},
    "API_TOKEN": PARTNER,
    "OAUTH_CLIENT": PARTNER,
}
"""Every kind of caller with a credential, and what it may do."""

NOBODY = "NOBODY"
"""Whoever presents no credential."""

HEAD = """\
# Who reaches an operation at all: yes, or - for FORBIDDEN (for NOBODY it is UNAUTHENTICATED). What they see there, and
# whose it may be, is narrower. API_TOKEN and OAUTH_CLIENT have the permissions of a booking system.
# Written from the schema by `make refusals`; a test asks the running product about every cell.

"""

Reaches = Callable[[str, str], bool]
"""Whether a caller, by a name of `CALLERS` or NOBODY, reaches an operation."""


def write_matrix(names: Iterable[str], reaches: Reaches) -> str:
    """The table for these operations."""
    callers = (*CALLERS, NOBODY)
    rows = [("operation", *callers)]
    rows += [(name, *("yes" if reaches(caller, name) else "-" for caller in callers)) for name in names]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return HEAD + "\n".join(lines) + "\n"


def matrix_of_schema() -> str:
    """The table as the schema declares it."""
    needed = dict(operations())

    def reaches(caller: str, name: str) -> bool:
        return caller != NOBODY and (not needed[name] or bool(needed[name] & CALLERS[caller]))

    return write_matrix(needed, reaches)


def listed_operations() -> list[str]:
    """The operations of the table that is checked in, in its order."""
    lines = [line for line in FILE.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [line.split()[0] for line in lines[1:]]


if __name__ == "__main__":
    FILE.write_text(matrix_of_schema(), "utf-8")

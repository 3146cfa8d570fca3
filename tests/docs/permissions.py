"""What each role may do, read from the code.

``python -m tests.docs.permissions`` writes the tables of docs/reference/permissions.md anew.
"""

from collections.abc import Iterator
from pathlib import Path

from permissions.catalog import Permission
from permissions.roles import BUILT_IN_ROLES, permission_matrix

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def tables() -> str:
    """The tables as Markdown."""
    return "\n".join([*_permissions(), "", *_limits(), "", "## What each role may do", "", "```"]) + (
        f"\n{permission_matrix()}```"
    )


def _permissions() -> Iterator[str]:
    yield from ("| in tokens | in GraphQL | what it gives |", "| --- | --- | --- |")
    for permission in Permission:
        told = permission.description.replace(f" (`{permission.value}`)", "")
        yield f"| `{permission.value}` | `{permission.name}` | {told} |"


def _limits() -> Iterator[str]:
    yield from ("| built-in role | what it is for | points a day by hand |", "| --- | --- | --- |")
    for kind, role in BUILT_IN_ROLES.items():
        limited = Permission.POINTS_ADJUST in role.permissions and Permission.LOYALTY_ADJUST not in role.permissions
        free = Permission.LOYALTY_ADJUST in role.permissions
        points = f"{role.daily_points:,}" if limited else "no limit" if free else "none"
        yield f"| {kind.name} | {kind.description} | {points} |"


def write_page() -> None:
    """Put the tables into their page."""
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    PAGE.write_text(f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}", "utf-8")


if __name__ == "__main__":
    write_page()

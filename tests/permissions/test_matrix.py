"""The matrix of permissions that is checked in is the one of the schema."""

from tests.permissions.matrix import (
    ALONE_FILE,
    FILE,
    listed_operations,
    matrix_of_schema,
    single_permissions_of_schema,
)


def test_the_matrix_is_the_one_of_the_schema() -> None:
    assert FILE.read_text("utf-8") == matrix_of_schema(), "make refusals"
    assert ALONE_FILE.read_text("utf-8") == single_permissions_of_schema(), "make refusals"


def test_the_matrix_names_what_an_operation_asks_for() -> None:
    rows = {line.split()[0]: line for line in FILE.read_text("utf-8").splitlines() if line}
    assert {"viewer", "memberAdd", "pointsAdjust", "pointsChanged", "roles"} <= set(listed_operations())
    assert rows["me"].endswith("  LOYALTY_READ, SELF_READ")
    assert rows["viewer"].endswith("  any credential")

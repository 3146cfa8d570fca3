"""The matrix of permissions that is checked in is the one of the schema."""

from tests.permissions.matrix import FILE, matrix_of_schema


def test_the_matrix_is_the_one_of_the_schema() -> None:
    assert FILE.read_text("utf-8") == matrix_of_schema(), "make refusals"

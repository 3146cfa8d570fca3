"""The reference of permissions is what the code says."""

from tests.docs.pages import read_tables
from tests.docs.permissions import PAGE, tables


def test_the_page_has_the_tables_of_today() -> None:
    assert read_tables(PAGE) == tables(), "make permissions"

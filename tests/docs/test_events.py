"""The reference of events is what the code says."""

from tests.docs.events import PAGE, tables
from tests.docs.pages import read_tables


def test_the_page_has_the_tables_of_today() -> None:
    assert read_tables(PAGE) == tables(), "make events"

"""The reference of permissions is what the code says."""

from tests.docs.permissions import BEGIN, END, PAGE, tables


def test_the_page_has_the_tables_of_today() -> None:
    text = PAGE.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == tables(), "make permissions"

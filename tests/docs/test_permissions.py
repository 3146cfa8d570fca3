"""The reference of permissions is what the code says."""

from tests.docs.permissions import BEGIN, END, PAGE, operations, tables


def test_the_page_has_the_tables_of_today() -> None:
    text = PAGE.read_text("utf-8")
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == tables(), "make permissions"


def test_every_operation_is_in_the_table() -> None:
    named = {name for name, _ in operations()}
    assert {"viewer", "memberAdd", "pointsAdjust", "pointsChanged", "roles"} <= named
    assert [name for name in named if f"| `{name}` |" not in tables()] == []

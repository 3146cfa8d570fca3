"""The part of a page that is written from the code: it stands between two marks, and the rest is written by hand."""

from pathlib import Path

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
BEGIN, END = "<!-- tables -->", "<!-- end of the tables -->"


def read_tables(page: Path) -> str:
    """Return what stands between the marks of a page."""
    return page.read_text("utf-8").partition(BEGIN)[2].partition(END)[0].strip()


def write_tables(page: Path, tables: str) -> None:
    """Put tables between the marks of a page."""
    text = page.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    page.write_text(f"{head}{BEGIN}\n\n{tables}\n\n{END}{tail}", "utf-8")

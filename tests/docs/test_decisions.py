"""Every decision says when it was taken and whether it holds, and the index names it."""

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "docs" / "decisions"
PAGES = sorted(FOLDER.glob("[0-9]*.md"))
STATUS = re.compile(
    r"(?:Proposed|Accepted|Rejected|Superseded by \[\d{4}\]\(\d{4}-[a-z0-9-]+\.md\)), 20\d\d-[01]\d-[0-3]\d\."
)
INDEX_ROW = re.compile(r"^\| \[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\) \| (.+) \|$", re.MULTILINE)


def title_of(page: Path) -> str:
    """Return the title without the number."""
    return page.read_text("utf-8").splitlines()[0].removeprefix(f"# {page.name[:4]} ")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_decision_has_a_status_with_a_date(page: Path) -> None:
    title, blank, status = page.read_text("utf-8").splitlines()[:3]
    assert title.startswith(f"# {page.name[:4]} ")
    assert not blank
    assert STATUS.fullmatch(status)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_decision_says_why_and_what_else_there_was(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.MULTILINE)
    assert headings[:2] == ["Context", "Decision"]
    assert "Consequences" in headings
    assert any(heading.startswith("Alternatives") for heading in headings)


def test_numbers_follow_one_another() -> None:
    assert [page.name[:4] for page in PAGES] == [f"{number:04}" for number in range(1, len(PAGES) + 1)]


def test_the_index_names_each_decision() -> None:
    rows = INDEX_ROW.findall((FOLDER / "index.md").read_text("utf-8"))
    assert rows == [(page.name[:4], page.name, title_of(page)) for page in PAGES]

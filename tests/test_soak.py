"""`make soak` runs whatever has more to do there."""

from pathlib import Path

HERE = Path(__file__).parent
LONGER = {"SOAK", "STEPS", "CARD_STEPS"}


def test_every_test_that_runs_longer_in_a_soak_is_chosen_by_it() -> None:
    """It chooses by the mark, or by hypothesis, which marks its tests itself."""
    names = {path: path.read_text("utf-8") for path in HERE.rglob("test_*.py") if path != Path(__file__)}
    longer = {path for path, text in names.items() if LONGER & _imported_from_soak(text)}
    assert len(longer) >= 5
    assert [path.name for path in longer if "@pytest.mark.soak" not in names[path]] == []


def _imported_from_soak(text: str) -> set[str]:
    lines = [line for line in text.splitlines() if line.startswith("from tests.soak import ")]
    return {name.strip() for line in lines for name in line.partition(" import ")[2].split(",")}

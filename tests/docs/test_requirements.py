"""Every requirement that the project cites is explained in docs/requirements.md, on one line."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
EXPLAINED = re.compile(r"^\| ((?:BK|SB|PB|C|F)-\d+) \|", re.MULTILINE)
CITED = re.compile(r"\b((?:BK|SB|PB|C|F)-\d{1,3})\b")
FOLDERS = ("api", "bench", "cli", "docs", "loyalty", "migrations", "permissions", "runtime", "schema", "tenancy")


def _explained() -> Counter[str]:
    return Counter(EXPLAINED.findall((ROOT / "docs" / "requirements.md").read_text()))


def _cited() -> set[str]:
    files = [path for folder in (*FOLDERS, "tests", "worker") for path in (ROOT / folder).rglob("*")]
    texts = [path.read_text() for path in files if path.suffix in {".py", ".md", ".graphql"}]
    return {requirement for text in texts for requirement in CITED.findall(text)}


def test_each_cited_requirement_is_explained() -> None:
    assert len(_cited()) > 100
    assert _cited() - set(_explained()) == set()


def test_each_requirement_is_explained_once() -> None:
    assert [requirement for requirement, times in _explained().items() if times > 1] == []

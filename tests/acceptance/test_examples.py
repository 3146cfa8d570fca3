"""The examples of the documentation, run as they stand: what a page says an answer is, that it is.

`<!-- run as OWNER -->` above a GraphQL block says who sends it; the JSON block that follows is the answer. There, "…"
stands for any text, and "<name>" for one that later blocks of the page send back under that name. A page is one story
in one sandbox, told from top to bottom.
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest

from tests.acceptance.client import Caller, Json
from tests.acceptance.conftest import OpenBusiness

ROOT = Path(__file__).resolve().parents[2]
ANYTHING = "…"
NAME = re.compile(r"<([a-z-]+)>")
STEP = re.compile(
    r"^<!-- run as (?P<who>[A-Z]+) -->\n```graphql\n(?P<document>.*?)^```\n+```json\n(?P<answer>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
MARK = re.compile(r"^<!-- run as", re.MULTILINE)


class Step(NamedTuple):
    """A document, who sends it, and what is said to come back."""

    who: str
    document: str
    answer: Json


def steps_of(page: Path) -> list[Step]:
    """Return the examples of a page."""
    text = page.read_text("utf-8")
    steps = [Step(match["who"], match["document"], orjson.loads(match["answer"])) for match in STEP.finditer(text)]
    assert len(steps) == len(MARK.findall(text)), f"{page.name}: an example has no answer"
    return steps


TOLD = {
    page.relative_to(ROOT).as_posix(): steps for page in sorted(ROOT.glob("docs/**/*.md")) if (steps := steps_of(page))
}


def differences(said: Any, came: Any, names: dict[str, str], path: str = "") -> list[str]:
    """Return where an answer is not what the page says. A name that the page gives for the first time is learnt."""
    if isinstance(said, dict) and isinstance(came, dict):
        wrong = [f"{path}: fields {sorted(came)}, not {sorted(said)}"] if said.keys() != came.keys() else []
        common = said.keys() & came.keys()
        return wrong + [
            line for name in common for line in differences(said[name], came[name], names, f"{path}.{name}")
        ]
    if isinstance(said, list) and isinstance(came, list) and len(said) == len(came):
        pairs = enumerate(zip(said, came, strict=True))
        return [line for number, (one, other) in pairs for line in differences(one, other, names, f"{path}.{number}")]
    if isinstance(said, str) and isinstance(came, str):
        if said == ANYTHING:
            return []
        if name := NAME.fullmatch(said):
            said = names.setdefault(name[1], came)
    return [] if said == came else [f"{path}: {came!r}, not {said!r}"]


@pytest.mark.parametrize("page", TOLD)
async def test_the_examples_of_a_page_are_true(page: str, businesses: OpenBusiness) -> None:
    salon = await businesses(sandbox=True)
    callers: dict[str, Caller] = {
        "OWNER": salon.owner,
        "MANAGER": salon.manager,
        "STAFF": salon.staff,
        "INTEGRATION": salon.integration,
    }
    names: dict[str, str] = {}
    for step in TOLD[page]:
        if step.who == "CUSTOMER" and "CUSTOMER" not in callers:
            callers["CUSTOMER"] = await salon.customer()
        document = NAME.sub(lambda name: names[name[1]], step.document)
        came = await callers[step.who].answer(document)
        assert differences(step.answer, came, names) == [], document


def test_a_wrong_answer_is_noticed() -> None:
    names = {"hold": "h1"}
    assert differences({"id": "<hold>", "at": "…"}, {"id": "h1", "at": "noon"}, names) == []
    assert differences({"id": "<hold>"}, {"id": "h2"}, names) == [".id: 'h2', not 'h1'"]
    assert differences([1, 2], [1, 3], names) == [".1: 3, not 2"]
    assert differences({"a": 1}, {"a": 1, "b": 2}, names) == [": fields ['a', 'b'], not ['a']"]

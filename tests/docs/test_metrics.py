"""The reference of metrics is what the code says, and so are the names in the alert rules."""

import re

import yaml

from loyalty.services.tenant_sweeps import SWEEPS
from tests.docs.metrics import PAGE, tables
from tests.docs.pages import read_tables

RULES = re.compile(r"^```yaml\n(groups:.*?)^```$", re.MULTILINE | re.DOTALL)
OPERATING = PAGE.parents[1] / "operating.md"
HISTOGRAM_PARTS = ("_bucket", "_count", "_sum")


def test_the_page_has_the_tables_of_today() -> None:
    assert read_tables(PAGE) == tables(), "make metrics"


def test_every_metric_has_a_name_of_ours_and_a_meaning() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| \w+ \| [^|]+ \| (.+) \|$", tables(), re.MULTILINE)
    assert len(rows) > 40
    assert [row for row in rows if not row[0].startswith("treue_") or not row[2].endswith(".")] == []


def test_alert_rules_ask_for_metrics_that_exist() -> None:
    (text,) = RULES.findall(OPERATING.read_text("utf-8"))
    groups = yaml.safe_load(text)["groups"]
    asked = {name for group in groups for rule in group["rules"] for name in re.findall(r"\btreue_\w+", rule["expr"])}
    known = set(re.findall(r"^\| `(\w+)` \|", tables(), re.MULTILINE))
    missing = {name for name in asked if name not in known and not _is_part(name, known)}
    assert asked
    assert missing == set()


def _is_part(name: str, known: set[str]) -> bool:
    return any(name.removesuffix(part) in known for part in HISTOGRAM_PARTS if name.endswith(part))


def test_every_sweep_is_among_what_can_be_late() -> None:
    late = tables().partition("## When something is late")[2]
    assert [sweep.name for sweep in SWEEPS if f"| `{sweep.name}` |" not in late] == []

"""A retry that crosses an upgrade of the server is a replay: fingerprints of earlier releases never change.

The code of those releases wrote the golden files.
"""

from pathlib import Path

from loyalty.services.fingerprint import fingerprint
from tests.loyalty.services.golden_requests import NUMBER, golden_first_reports, golden_requests

GOLDEN = Path(__file__).with_name("golden_fingerprints.txt")
GOLDEN_FIRST = Path(__file__).with_name("golden_first_fingerprints.txt")
"""The first 16 digits of each."""


def test_a_thousand_requests_keep_the_fingerprints_of_release_0_1_0() -> None:
    found = [f"{type(request).__name__} {request.fingerprint()}" for request in golden_requests()]

    assert len(found) == NUMBER
    assert found == GOLDEN.read_text().splitlines()


def test_a_thousand_reports_are_known_by_the_fingerprints_of_the_first_tables() -> None:
    found = [report.fingerprints().first[:16] for report in golden_first_reports()]

    assert len(found) == NUMBER
    assert found == GOLDEN_FIRST.read_text().splitlines()


def test_a_value_added_later_counts_only_when_it_is_given() -> None:
    assert fingerprint(["a", 1], later=None) == fingerprint(["a", 1])
    assert fingerprint(["a", 1], later=False) != fingerprint(["a", 1])
    assert fingerprint(["a", 1], later="x") != fingerprint(["a", 1], other="x")

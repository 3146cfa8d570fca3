from typing import Any

import pytest

from loyalty.rules.catalog import CatalogItem, CatalogKind, validate_catalog_item

SERVICE, LOCATION, STAFF = CatalogKind.SERVICE, CatalogKind.LOCATION, CatalogKind.STAFF


def problems_with(kind: CatalogKind, **fields: Any) -> list[tuple[str, ...]]:
    item = CatalogItem(**{"kind": kind, "external_id": "1", "name": "One", **fields})
    return [problem.path for problem in validate_catalog_item(item)]


def test_takes_items_with_their_own_points() -> None:
    """SB-03, SB-12, SB-13."""
    assert problems_with(SERVICE, category="hair", enrolled=True, points_per_unit=5) == []
    assert problems_with(CatalogKind.CLASS, enrolled=True) == []
    assert problems_with(LOCATION, time_zone="Europe/Berlin") == []
    assert problems_with(STAFF) == []


@pytest.mark.parametrize(
    ("kind", "fields", "path"),
    [
        (SERVICE, {"external_id": ""}, "external_id"),
        (SERVICE, {"name": " "}, "name"),
        (SERVICE, {"name": "x" * 201}, "name"),
        (SERVICE, {"category": "a\n"}, "category"),
        (SERVICE, {"points_per_unit": 0}, "points_per_unit"),
        (SERVICE, {"time_zone": "Europe/Berlin"}, "time_zone"),
        (LOCATION, {"time_zone": "Nowhere"}, "time_zone"),
        (LOCATION, {"category": "a"}, "category"),
        (STAFF, {"enrolled": True}, "enrolled"),
        (STAFF, {"points_per_unit": 5}, "points_per_unit"),
    ],
)
def test_refuses_items_that_cannot_be(kind: CatalogKind, fields: dict[str, Any], path: str) -> None:
    assert problems_with(kind, **fields) == [(path,)]

"""What the audit log tells of a change."""

from typing import Any

import pytest

from loyalty.rules.audit import AuditAction, AuditedChange, AuditSubject, FieldChange, compare_states


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({"a": 1}, {"a": 1}, [], id="nothing"),
        pytest.param({"a": 1, "b": 2}, {"a": 1, "b": 3}, [("b", 2, 3)], id="one field"),
        pytest.param(None, {"b": 2, "a": 1}, [("a", None, 1), ("b", None, 2)], id="all fields of what is new, by name"),
        pytest.param({"a": 1}, None, [("a", 1, None)], id="all fields of what is gone"),
        pytest.param({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": 1, "d": 3}}}, [("a.b.d", 2, 3)], id="below"),
        pytest.param({"a": [1, 2]}, {"a": [2, 1]}, [("a", [1, 2], [2, 1])], id="a list as a whole"),
        pytest.param({"a": {"b": 1}}, {"a": None}, [("a.b", 1, None)], id="an object that goes"),
        pytest.param({"a": None}, {"a": {"b": 1}}, [("a.b", None, 1)], id="an object that comes"),
        pytest.param({"a": None}, {}, [], id="no value is as absent"),
        pytest.param({"a": False}, {"a": 0}, [("a", False, 0)], id="false is not 0"),
    ],
)
def test_the_fields_that_differ(before: Any, after: Any, expected: list[tuple[str, Any, Any]]) -> None:
    assert compare_states(before, after) == [FieldChange(*one) for one in expected]


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [(None, {}, AuditAction.CREATED), ({}, {}, AuditAction.CHANGED), ({}, None, AuditAction.DELETED)],
)
def test_the_states_tell_the_action(before: Any, after: Any, action: AuditAction) -> None:
    assert AuditedChange(AuditSubject.TIER, "1", "Gold", before, after).action is action

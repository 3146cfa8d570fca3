"""Enums that all lists share."""

from loyalty.rules.described_enum import DescribedEnum


class OrderDirection(DescribedEnum):
    """Which end of an order comes first."""

    ASCENDING = "ASCENDING", "The earliest, the smallest, or A first."
    DESCENDING = "DESCENDING", "The latest, the largest, or Z first."


class PointsSign(DescribedEnum):
    """Whether points come or go."""

    POSITIVE = "POSITIVE", "Points that come."
    NEGATIVE = "NEGATIVE", "Points that go."

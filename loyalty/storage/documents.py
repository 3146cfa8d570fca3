"""Write frozen dataclasses of the rules as JSON documents, and read them: one way for all values that are stored whole.

A document has a member for each field. Enums and ids become their values, sets become lists in a fixed order, so equal
values give equal documents. A missing member has its field's default: so a release with a new setting reads documents
of an earlier one. An unknown member is ignored: a newer release has written it.
"""

import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints
from uuid import UUID

from loyalty.rules.earning_rule import Award, Conditions, FixedAward, MultiplierAward, PerAmountAward, PerUnitAward
from loyalty.rules.evaluation import EvaluationLine
from loyalty.rules.exchange import Exchange, format_rate, parse_rate
from loyalty.rules.formula import AmountFormula, FactorFormula, FixedFormula, Formula, LinesFormula, UnitsFormula
from loyalty.rules.money import PointValue
from loyalty.rules.payments import Payment
from loyalty.rules.purchase import PurchaseLine
from loyalty.rules.quantity import quantity_document, quantity_from_document

T = TypeVar("T")
Json = Any

KIND = "kind"
"""The member that names the class, if a field may hold several classes."""


class Shape(NamedTuple):
    """The differences between the document of a class and its fields.

    ``kind`` names the class among others. The members of a ``flat`` field stand beside the others, not below it. A
    ``sparse`` field is left out if it has its default, so that documents of earlier releases stay equal. ``texts`` have
    functions of their own to write and read them.
    """

    kind: str | None = None
    flat: frozenset[str] = frozenset()
    sparse: frozenset[str] = frozenset()
    texts: Mapping[str, tuple[Callable[[Any], str], Callable[[str], Any]]] = types.MappingProxyType({})


_PLAIN = Shape()
_EXCEPTED = frozenset(field.name for field in fields(Conditions) if field.name.startswith("except_"))

SHAPES: Mapping[type, Shape] = {
    FixedAward: Shape(kind="FIXED"),
    PerAmountAward: Shape(kind="PER_AMOUNT"),
    PerUnitAward: Shape(kind="PER_UNIT"),
    MultiplierAward: Shape(kind="MULTIPLIER", flat=frozenset({"factor"})),
    FixedFormula: Shape(kind="FIXED"),
    LinesFormula: Shape(kind="LINES"),
    AmountFormula: Shape(kind="AMOUNT"),
    UnitsFormula: Shape(kind="UNITS"),
    FactorFormula: Shape(kind="FACTOR"),
    PointValue: Shape(flat=frozenset({"money"})),
    Conditions: Shape(sparse=_EXCEPTED),
    Payment: Shape(sparse=frozenset({"reference", "names"})),
    PurchaseLine: Shape(sparse=frozenset({"line_id"})),
    Exchange: Shape(texts={"rate": (format_rate, parse_rate)}),
}


_SCALARS: tuple[tuple[Any, Callable[[Any], Json]], ...] = (
    (Enum, lambda member: member.value),
    (date, lambda moment: moment.isoformat()),
    (UUID, str),
    (Fraction, quantity_document),
)
"""The functions that write single values. A ``datetime`` is a ``date``, and its time is written, too."""


_AS_THEY_ARE = frozenset({types.NoneType, bool, int, str})
"""The types whose values stand in a document as they are."""


class _Reader(NamedTuple):
    """Reads one field from a document."""

    name: str
    read: Callable[[Json], Any]
    flat: bool
    default: Any


def to_document(value: Any) -> Json:
    """Return a value as a JSON document. Raises TypeError for a value that has no form in JSON."""
    return _writer_of(cast("Hashable", type(value)))(value)


def from_document(kind: type[T], stored: Json) -> T:
    """Return the value of a class from its document.

    Raises KeyError for a missing member without a default, and ValueError for an impossible value.
    """
    value: T = _reader_of(cast("Hashable", kind))(stored)
    return value


def from_optional(kind: type[T], stored: Json) -> T | None:
    """Return the value from a document; None if nothing is stored."""
    return None if stored is None else from_document(kind, stored)


def read_award(stored: Json) -> Award:
    """Return the award of a rule."""
    award: Award = _reader_of(Award)(stored)
    return award


def read_formula(stored: Json) -> Formula | None:
    """Return the formula of a rule's points; None in lines that were stored before formulas were."""
    formula: Formula | None = _reader_of(Formula | None)(stored)
    return formula


def read_evaluation(stored: Json) -> tuple[EvaluationLine, ...]:
    """Return the lines of an evaluation that an accrual stores."""
    return tuple(from_document(EvaluationLine, line) for line in stored)


def read_lines(stored: Json) -> tuple[PurchaseLine, ...]:
    """Return the lines of a purchase."""
    return tuple(from_document(PurchaseLine, line) for line in stored)


def read_payments(stored: Json) -> tuple[Payment, ...]:
    """Return the reported payments of a purchase; none if nothing is stored."""
    return tuple(from_document(Payment, payment) for payment in stored or ())


@cache
def _writer_of(kind: Any) -> Callable[[Any], Json]:
    """Return the function that writes values of a class. It is made once for each class."""
    if is_dataclass(kind):
        return _writer_of_object(cast("type", kind))
    if issubclass(kind, Mapping):
        return lambda value: {name: to_document(one) for name, one in value.items()}
    if issubclass(kind, frozenset):
        return lambda value: [to_document(one) for one in sorted(value, key=_place)]
    if issubclass(kind, tuple | list):
        return lambda value: [to_document(one) for one in value]
    if kind in _AS_THEY_ARE:
        return lambda value: value
    for scalar, write in _SCALARS:
        if issubclass(kind, scalar):
            return write
    message = f"{kind.__name__} has no form in a document"
    raise TypeError(message)


def _writer_of_object(kind: type) -> Callable[[Any], Json]:
    shape = SHAPES.get(kind, _PLAIN)
    first: dict[str, Json] = {} if shape.kind is None else {KIND: shape.kind}
    sparse = {field.name: _default_of(field) for field in fields(kind) if field.name in shape.sparse}
    texts = {name: write for name, (write, _) in shape.texts.items()}
    names = tuple(field.name for field in fields(kind))
    special = {*sparse, *texts, *shape.flat}

    def write(value: Any) -> dict[str, Json]:
        members = first.copy()
        for name in names:
            one = getattr(value, name)
            if name not in special:
                members[name] = one if type(one) in _AS_THEY_ARE else to_document(one)
            elif name in texts:
                members[name] = texts[name](one)
            elif name in shape.flat:
                members |= to_document(one)
            elif one != sparse[name]:
                members[name] = to_document(one)
        return members

    return write


def _place(value: Any) -> Any:
    """Return the sorting key of a value: members of an enum in the order of their definition, others in their own."""
    return _places(type(value))[value] if isinstance(value, Enum) else value


@cache
def _places(kind: type[Enum]) -> dict[Enum, int]:
    return {member: place for place, member in enumerate(kind)}


@cache
def _reader_of(kind: Any) -> Callable[[Json], Any]:
    """Return the function that reads values of a type. It is made once for each type."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _reader_of_union(get_args(kind))
    if origin in (tuple, frozenset):
        read = _reader_of(get_args(kind)[0])
        return lambda stored: origin(read(one) for one in stored)
    kind = getattr(kind, "__supertype__", kind)
    if kind in (bool, int, str):
        return lambda stored: stored
    if is_dataclass(kind):
        return _reader_of_object(cast("type", kind))
    if issubclass(kind, datetime | date):
        return kind.fromisoformat  # type: ignore[no-any-return]
    return kind  # type: ignore[no-any-return]


def _reader_of_union(kinds: tuple[Any, ...]) -> Callable[[Json], Any]:
    some = tuple(kind for kind in kinds if kind is not types.NoneType)
    if Fraction in some:
        return _read_optional_quantity if types.NoneType in kinds else quantity_from_document
    if len(some) > 1:
        readers = {SHAPES[kind].kind: _reader_of(kind) for kind in some}
        return lambda stored: None if stored is None else readers[stored[KIND]](stored)
    read = _reader_of(some[0])
    return lambda stored: None if stored is None else read(stored)


def _read_optional_quantity(stored: Json) -> Any:
    return None if stored is None else quantity_from_document(stored)


def _reader_of_object(kind: type) -> Callable[[Json], Any]:
    shape, hints = SHAPES.get(kind, _PLAIN), get_type_hints(kind)
    readers = [
        _Reader(
            field.name,
            shape.texts[field.name][1] if field.name in shape.texts else _reader_of(hints[field.name]),
            field.name in shape.flat,
            _default_of(field),
        )
        for field in fields(kind)
    ]

    def read(stored: Json) -> Any:
        return kind(**{reader.name: _read_member(reader, stored) for reader in readers})

    return read


def _read_member(reader: _Reader, stored: Json) -> Any:
    if reader.flat:
        return reader.read(stored)
    if reader.name in stored:
        return reader.read(stored[reader.name])
    if reader.default is MISSING:
        raise KeyError(reader.name)
    return reader.default


def _default_of(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default

"""Statements of SQLAlchemy Core, compiled once: the text for PostgreSQL, the order of the parameters, and the rows.

A statement is compiled at its first use and kept by its identity. So make a statement once, at import or in a cached
function, and never for one request. Values are sent as text without a type: the text of the statement names the types.
So the text is the same for every value, and the statement is prepared once.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg.adapt import AdaptersMap, Dumper, PyFormat, Transformer
from psycopg.pq.abc import PGresult
from psycopg.types.json import set_json_dumps, set_json_loads
from sqlalchemy import Boolean, Executable, LargeBinary, Numeric
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError

from tenancy.elsewhere import TenantElsewhere, says_elsewhere

MAX_COMPILED = 2_000
"""The number of statements that one process keeps compiled. The statement that was not used for longest is dropped."""

KEEPS_PLAN = "keeps_plan"
"""The execution option of a statement that is planned once, see `keep_plan`."""

S = TypeVar("S", bound=Executable)

Values = Sequence[bytes | None]
"""The parameters of a statement in their order, in the form that PostgreSQL reads."""


def to_json(value: object) -> str:
    """Return a JSON document in the form in which it is sent."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def adapt_json(connection: psycopg.AsyncConnection[Any]) -> None:
    """Let a connection read and write JSON as SQLAlchemy's connections do in this service."""
    set_json_dumps(to_json, connection)
    set_json_loads(orjson.loads, connection)


class _BytesAsHex(Dumper):
    """Writes bytes as text. The driver's own class asks the connection how to write them, and here there is none."""

    def dump(self, obj: Any) -> bytes:
        """Return bytes in the hexadecimal form of PostgreSQL."""
        return b"\\x" + bytes(obj.obj if isinstance(obj, psycopg.Binary) else obj).hex().encode()


class _Adapters:
    """Gives the adapters to a transformer of values, without a connection."""

    def __init__(self) -> None:
        self.adapters = AdaptersMap(psycopg.adapters)
        self.connection = None
        for kind in (bytes, psycopg.Binary):
            self.adapters.register_dumper(kind, _BytesAsHex)
        set_json_dumps(to_json, self)


_new_dialect: Any = PGDialect_psycopg
_DIALECT = _new_dialect(
    dbapi=psycopg, paramstyle="numeric_dollar", json_serializer=to_json, json_deserializer=orjson.loads
)
_writer = Transformer(_Adapters())
_MISSING = object()
_WITHOUT_CAST = tuple(
    (kind, psycopg.adapters.types[name].oid)
    for kind, name in ((Boolean, "bool"), (LargeBinary, "bytea"), (Numeric, "numeric"))
)
"""The types for which SQLAlchemy writes no cast, with PostgreSQL's ids of these types."""


def keep_plan(statement: S) -> S:
    """Return the statement with the mark that a read of it is planned once, and not for the values of each use.

    For look-ups by a list of keys that are asked for all the time, whose best plan is the same for all values.
    PostgreSQL expects ten keys in a list, finds a plan for that dear, and would plan one key anew at each use, which
    takes ten times as long as the look-up. The tests of the plans explain these statements without their values.
    """
    marked: S = statement.execution_options(**{KEEPS_PLAN: True})
    return marked


class CompiledStatement:
    """One compiled statement, ready to be sent."""

    __slots__ = (
        "_constants",
        "_names",
        "_places",
        "_processors",
        "_row_type",
        "_row_width",
        "_types",
        "is_sent_once",
        "keeps_plan",
        "parameter_types",
        "source",
        "text",
    )

    def __init__(self, statement: Any, *, is_sent_once: bool = False) -> None:
        self.source: Executable = statement
        compiled: Any = statement.compile(dialect=_DIALECT)
        if compiled.post_compile_params or compiled.literal_execute_params:
            raise ValueError("the text depends on the values: compare with any_() of an array and not with in_()")
        self.text = compiled.string.encode()
        self.is_sent_once = is_sent_once
        """True if the statement is sent too seldom to be prepared."""
        self.keeps_plan = bool(statement.get_execution_options().get(KEEPS_PLAN))
        """True for a statement with the mark of `keep_plan`."""
        processors: Mapping[str, Callable[[Any], Any]] = compiled._bind_processors  # noqa: SLF001 - SQLAlchemy's API
        self._constants: list[bytes | None] = []
        self._places: list[int] = []
        self._names: list[str] = []
        self._processors: list[Callable[[Any], Any] | None] = []
        self.parameter_types: list[int] = []
        """PostgreSQL's ids of the types; 0 if the text of the statement names the type."""
        for place, name in enumerate(compiled.positiontup or ()):
            bind, process = compiled.binds[name], processors.get(name)
            self.parameter_types.append(next((oid for kind, oid in _WITHOUT_CAST if isinstance(bind.type, kind)), 0))
            if bind.required:
                self._constants.append(None)
                self._places.append(place)
                self._names.append(bind.key)
                self._processors.append(process)
            else:
                value = bind.effective_value if process is None else process(bind.effective_value)
                self._constants.append(_write([value])[0])
        self._types = [column[3] for column in compiled._result_columns]  # noqa: SLF001 - SQLAlchemy's API
        self._row_type: Callable[[Sequence[Any]], Any] | None = None
        self._row_width = 0

    def values(self, parameters: Mapping[str, Any]) -> Values:
        """Return the parameters by name in the order of the statement's text, in the form that PostgreSQL reads.

        Raises sqlalchemy.exc.DBAPIError for a value that PostgreSQL cannot read, and TypeError for a missing parameter.
        """
        given = []
        for name, process in zip(self._names, self._processors, strict=True):
            value = parameters.get(name, _MISSING)
            if value is _MISSING:
                raise TypeError(f"the parameter {name!r} of the statement is missing")
            given.append(value if process is None else process(value))
        try:
            written = _write(given)
        except psycopg.Error as error:
            raise wrap_error(error, self) from error
        values = self._constants.copy()
        for place, value in zip(self._places, written, strict=True):
            values[place] = value
        return values

    def row_type(self, result: PGresult) -> Callable[[Sequence[Any]], Any]:
        """Return the function that makes a named tuple of a row's values, equal to SQLAlchemy's row."""
        if self._row_type is None or self._row_width != result.nfields:
            self._row_type, self._row_width = self._new_row_type(result), result.nfields
        return self._row_type

    def _new_row_type(self, result: PGresult) -> Callable[[Sequence[Any]], Any]:
        """Build the function that `row_type` returns, from the names of the columns of a result."""
        names = [(result.fname(column) or b"").decode() for column in range(result.nfields)]
        row: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]  # noqa: PYI024 - known only now
        make = partial(tuple.__new__, row)
        found = [
            kind._cached_result_processor(_DIALECT, result.ftype(column))  # noqa: SLF001 - SQLAlchemy's API
            for column, kind in enumerate(self._types)
        ]
        processors = [(place, process) for place, process in enumerate(found) if process is not None]
        if not processors:
            return make

        def make_processed(values: Sequence[Any]) -> Any:
            changed = list(values)
            for place, process in processors:
                changed[place] = process(changed[place])
            return make(changed)

        return make_processed


def _write(values: Sequence[Any]) -> Sequence[bytes | None]:
    """Return values in the text form that PostgreSQL reads. Raises psycopg.Error for a value that has none."""
    written = _writer.dump_sequence(values, [PyFormat.TEXT] * len(values))
    return [None if value is None else bytes(value) for value in written]


@lru_cache(maxsize=MAX_COMPILED)
def compile_statement(statement: Executable) -> CompiledStatement:
    """Compile a statement. A second call returns the first result."""
    return CompiledStatement(statement)


def count_compiled() -> int:
    """Return how many statements this process keeps compiled.

    The number stops growing if each statement is made once.
    """
    return compile_statement.cache_info().currsize


def wrap_error(error: psycopg.Error, statement: CompiledStatement | None, *, lost: bool = False) -> DBAPIError:
    """Return an error in the form that SQLAlchemy raises; ``lost`` says that the connection is lost, too."""
    if says_elsewhere(error):
        return TenantElsewhere()
    text = "" if statement is None else statement.text.decode()
    wrapped = DBAPIError.instance(
        text, None, error, psycopg.Error, hide_parameters=True, connection_invalidated=lost, dialect=_DIALECT
    )
    if not isinstance(wrapped, DBAPIError):
        raise TypeError("not an error of the driver") from error
    return wrapped

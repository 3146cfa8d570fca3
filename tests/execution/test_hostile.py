import gc
import random
from collections.abc import Iterator

import orjson
import pytest

from tests.execution.answering import Executors, told
from tests.execution.hostile import build_hostile_schema, make_animals
from tests.schema.random_documents import Pool, write_operation
from tests.soak import SEED, SOAK

OPERATIONS = 20_000 if SOAK else 300
POOL = Pool(scalars={"Int": [0, 1, 2, 7], "String": ["a"]}, inputs={})


@pytest.fixture
def collecting_when_told() -> Iterator[None]:
    """Switch the collector off during the block.

    In the middle of some functions Python cannot warn of a coroutine that was never awaited.
    """
    gc.disable()
    yield
    gc.enable()


@pytest.mark.soak
@pytest.mark.usefixtures("collecting_when_told")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_whatever_goes_wrong_goes_wrong_as_in_graphql_core() -> None:
    """graphql-core leaves behind, now and then, a coroutine that it did not await: it is collected here."""
    executors, chance = Executors(build_hostile_schema()), random.Random(SEED)  # noqa: S311 - no secrets
    errors = compared = whole = 0
    for number in range(OPERATIONS):
        if number % 50 == 0:
            gc.collect()
        operation = write_operation(executors.schema, POOL, chance)
        if not executors.is_valid(operation.document):
            continue
        animals = make_animals(chance)
        planned, plain = await executors.answer(operation.document, operation.variables, animals)
        assert orjson.dumps(planned.data) == orjson.dumps(plain.data), operation
        assert told(planned) == told(plain), operation
        compared += 1
        errors += len(plain.errors or ())
        whole += plain.data is not None
    gc.collect()
    assert compared > OPERATIONS / 2
    assert errors > OPERATIONS
    assert whole > OPERATIONS / 10

"""What says who asks ends with its transaction; one that would stay for the session is noticed."""

from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import bindparam, func, literal_column, select, text

from loyalty.storage.events import read_last_positions
from runtime.roles import DatabaseUrls
from tenancy import database as door
from tenancy import multiplexer
from tenancy.database import Database
from tenancy.pipeline import question_of
from tenancy.policies import CREDENTIAL_SETTING, FOLLOWED_SETTING, NO_TENANT, TENANT_SETTING
from tests.fixtures.statements import lanes_of
from tests.fixtures.tenants import Salon

SETTERS = [
    (door, "_ENTER", "tenant", TENANT_SETTING),
    (door, "_PRESENT", "sha256", CREDENTIAL_SETTING),
    (door, "_FOLLOW", "followed", FOLLOWED_SETTING),
    (multiplexer, "_ENTER", "entered", TENANT_SETTING),
    (multiplexer, "_PRESENT", "entered", CREDENTIAL_SETTING),
    (multiplexer, "_FOLLOW", "entered", FOLLOWED_SETTING),
]
"""Each statement that says who asks: where it stands, its parameter, and the setting that the policies read."""


@pytest.mark.parametrize(("module", "name", "parameter", "setting"), SETTERS)
async def test_a_setting_that_outlives_its_transaction_is_noticed(
    database_urls: DatabaseUrls,
    salon: Salon,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    name: str,
    parameter: str,
    setting: str,
) -> None:
    assert not await _is_left_behind(database_urls, salon, module, setting)
    monkeypatch.setattr(module, name, _set_for_the_session(module, parameter, setting))
    assert await _is_left_behind(database_urls, salon, module, setting)


def _set_for_the_session(module: ModuleType, parameter: str, setting: str) -> Any:
    """Return the setter with false in place of true: the setting lasts longer than the transaction."""
    settings = [func.set_config(literal_column(f"'{setting}'"), bindparam(parameter), literal_column("false"))]
    local = {"transaction_read_only": "on"} if module is multiplexer else {}
    if setting == FOLLOWED_SETTING:
        local[TENANT_SETTING] = NO_TENANT
    for name, value in local.items():
        settings.append(
            func.set_config(literal_column(f"'{name}'"), literal_column(f"'{value}'"), literal_column("true"))
        )
    if module is multiplexer:
        limit = func.set_config(
            literal_column("'statement_timeout'"), bindparam("milliseconds"), literal_column("true")
        )
        settings.append(limit)
    return select(*settings)


async def _is_left_behind(urls: DatabaseUrls, salon: Salon, module: ModuleType, setting: str) -> bool:
    """Tell whether the next transaction on the only connection is still in the tenant, though it enters none."""
    reads = module is multiplexer
    database = Database(urls.app, pool_size=1, read_connections=1 if reads else 0, name="treue-mutants")
    asked = text(f"SELECT coalesce(current_setting('{setting}', true), '')")
    try:
        await database.reading(salon.tenant_id).rows(text("SELECT 1"))
        await database.tenant_of_token("0" * 64)
        await read_last_positions(database, [salon.tenant_id])
        if reads:
            (lane, *_) = lanes_of(database.multiplexer)
            (answer,) = await lane.ask([question_of(asked, {})])
        else:
            async with database.transactions.transaction([]) as nobody:
                answer = await nobody.ask(asked, {})
        ((left,),) = answer.rows()
        return bool(left)
    finally:
        await database.close()

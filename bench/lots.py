"""Measure a purchase, a quote and a hold of a customer with many lots whose points expire by inactivity.

    make bench-lots                        20 lots, 2,000 and 20,000
    make bench-lots ARGS="--lots 5000"

The lots are a day old at first, so the first batch of 500 purchases moves the expiry of all lots. The next batches move
none. The processor time is the time of this process; the rest of the time is PostgreSQL's. Most lots are copies of
lots that purchases opened, so the ledger of this tenant does not add up.
"""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import bindparam, func, insert, select, text, true

from bench.reader import say_where
from bench.service import Service, running_service
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.expiry import ExpiryKind, ExpiryPolicy
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.purchase_report import PurchaseReport
from loyalty.services.checkout import Checkout, quote_checkout
from loyalty.services.customer import CustomerKey
from loyalty.services.hold import HoldRequest
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase
from loyalty.services.redemption import hold_points
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.tables import customers, lots
from tenancy.table import tenant_parameter

LOTS = (20, 2_000, 20_000)
BATCH = 500
CALLS = 4
CHECKOUTS = 20
DAYS = 365
FIRST = 10
"""The number of lots that purchases open. They are copied then."""

_COPIED = [column for column in lots.c if column.name != "id" and column.computed is None]
_COPY = insert(lots).from_select(
    ["id", *(column.name for column in _COPIED)],
    select(func.gen_random_uuid(), *_COPIED)
    .join(customers, (customers.c.tenant_id == lots.c.tenant_id) & (customers.c.id == lots.c.customer_id))
    .join(func.generate_series(1, bindparam("copies")).table_valued("number"), true())
    .where(lots.c.tenant_id == tenant_parameter(), customers.c.external_id == bindparam("customer")),
    include_defaults=False,
)
_AGE = text(
    "UPDATE lots SET expires_at = expires_at - interval '1 day', notice_at = notice_at - interval '1 day'"
    " WHERE tenant_id = :current_tenant AND expires_at IS NOT NULL"
)


def main() -> None:
    """Measure for each number of lots."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lots", type=int, nargs="*", default=LOTS)
    print(say_where(), flush=True)
    asyncio.run(_measure(parser.parse_args().lots))


async def _measure(sizes: list[int]) -> None:
    """Run a service, and print the times for each number of lots."""
    async with running_service() as service:
        policy = ExpiryPolicy(ExpiryKind.INACTIVITY, days=DAYS)

        def change(settings: Any) -> Any:
            redemption = replace(settings.redemption, enabled=True)
            return replace(settings, expiry=policy, notice_days=(30,), redemption=redemption)

        await update_program(service.world, service.manager, ProgramEdit(change, None))
        for size in sizes:
            customer = f"customer-with-{size}"
            await _record(service, customer, 0, FIRST)
            async with service.world.database.tenant_transaction(service.tenant_id) as tx:
                await tx.run(_COPY, customer=customer, copies=max(0, size // FIRST - 1))
                await tx.run(_AGE)
            taken = [await _time_batch(service, customer, FIRST + call * BATCH) for call in range(CALLS)]
            print(f"{size:,} lots, {BATCH} purchases: {'; '.join(taken)}", flush=True)
            quoting = await _time_each(partial(_quote, service, customer))
            holding = await _time_each(partial(_hold, service, customer))
            print(f"{size:,} lots: a quote {quoting}; a hold {holding}", flush=True)


async def _quote(service: Service, customer: str, number: int) -> None:
    """Ask for a quote for a customer."""
    checkout = Checkout(Money(1000 + number, "EUR"))
    await quote_checkout(service.world, service.manager, CustomerKey(external_id=customer), checkout, None)


async def _hold(service: Service, customer: str, number: int) -> None:
    """Set points of a customer aside."""
    key = f"{customer}-{number}"
    checkout = Checkout(Money(1000, "EUR"), purchase=PurchaseKey(PurchaseKind.ORDER, f"cart of {key}"))
    await hold_points(
        service.world, service.manager, HoldRequest(CustomerKey(external_id=customer), 5, checkout, None, None, key)
    )


async def _time_each(call: Callable[[int], Awaitable[None]]) -> str:
    """Call a function again and again. Return the time of one call as text."""
    await call(0)
    began, cpu = time.monotonic(), time.process_time()
    for number in range(1, CHECKOUTS + 1):
        await call(number)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return f"{1000 * seconds / CHECKOUTS:.1f} ms ({1000 * cpu / CHECKOUTS:.1f} ms of processor)"


async def _time_batch(service: Service, customer: str, first: int) -> str:
    """Record a batch of purchases. Return its time as text."""
    began, cpu = time.monotonic(), time.process_time()
    await _record(service, customer, first, BATCH)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    return f"{seconds:.2f} s ({cpu:.2f} s of processor)"


async def _record(service: Service, customer: str, first: int, count: int) -> None:
    """Record so many purchases of a customer in one batch. A refusal ends the run."""
    recordings = [
        PurchaseRecording(
            PurchaseReport(PurchaseKind.ORDER, f"{customer}-{number}", Money(1000, "EUR")),
            PurchaseStatus.COMPLETED,
            CustomerProfile(customer),
        )
        for number in range(first, first + count)
    ]
    for result in await record_purchases(service.world, service.manager, recordings):
        if not isinstance(result, RecordedPurchase):
            raise SystemExit(f"a purchase was refused: {result}")


if __name__ == "__main__":
    main()

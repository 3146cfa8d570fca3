"""The scripts of the guides: catalogue, orders, returns and reconciliation, with the faults that files have."""

import json
from pathlib import Path

from tests.acceptance.business import Business
from tests.acceptance.client import ONE_PER_EURO, Json, create_rule, find_customer
from tests.acceptance.scripts import read_refused, run_script, write_rows
from tests.fixtures.live import until

ITEMS = 1_100
ORDERS = 620
ORDER_HEAD = "id,status,customer,total,item,quantity,unit_price,line_id"


async def test_a_catalogue_goes_in_and_bad_rows_come_out(salon: Business, tmp_path: Path) -> None:
    rows = [f"PRODUCT,sku-{number},Product {number},,,,,,," for number in range(ITEMS)]
    rows[3] = "product,tobacco,Tobacco,,,,nothing,,,"
    rows[4] = "SERVICE,gel,Gel,nails,,yes,,5,,"
    rows[5] = "LOCATION,graz,Graz,,Europe/Vienna,,,,,"
    rows[6] = "PRODUCT,ring,Ring,,,,,,2,1.00"
    rows[7] = "GADGET,x,X,,,,,,,"  # no such kind
    rows[8] = "PRODUCT,,No id,,,,,,,"
    rows[9] = "PRODUCT,many,Many,,,,,many,,"  # no number
    rows[1_050] = "PRODUCT,new,,,,,,,,"  # a new item without a name, in the second batch
    rows[1_060] = "LOCATION,moon,Moon,,Moon/Base,,,,,"  # no such zone
    file = tmp_path / "catalogue.csv"
    write_rows(file, "kind,id,name,category,time_zone,enrolled,earning,points_per_unit,rate_points,rate_per", rows)
    ran = await run_script(salon, "import_catalog.py", file)
    assert (ran.code, ran.out) == (1, f"{ITEMS - 5} kept, 5 refused"), ran
    assert sorted(row["id"] for row in read_refused(file)) == ["", "many", "moon", "new", "x"]
    assert all(row["reason"] for row in read_refused(file))
    key = "query($id: String!, $kind: CatalogKind!) { catalogItem(by: {key: {kind: $kind, externalId: $id}}) { %s } }"
    shown = "name earning enrolled pointsPerUnit category locationTimeZone rate { points per { amount } }"
    kept: dict[str, Json] = {}
    for kind, name in (("PRODUCT", "tobacco"), ("SERVICE", "gel"), ("LOCATION", "graz"), ("PRODUCT", "ring")):
        kept[name] = await salon.staff.get(key.replace("%s", shown), id=name, kind=kind)
    assert kept["tobacco"]["earning"] == "NOTHING"
    assert (kept["gel"]["enrolled"], kept["gel"]["pointsPerUnit"], kept["gel"]["category"]) == (True, 5, "nails")
    assert kept["graz"]["locationTimeZone"] == "Europe/Vienna"
    assert kept["ring"]["rate"] == {"points": 2, "per": {"amount": "1.00"}}
    again = await run_script(salon, "import_catalog.py", file)
    assert again == ran


def orders() -> list[str]:
    """Return orders of ten customers, a quarter of them thin, some of them broken."""
    rows = []
    for number in range(ORDERS):
        customer = f"c-{number % 10}"
        if number % 4 == 3:
            # Thin: the only new fact is that the order before is completed.
            rows.append(f"o-{number - 1},COMPLETED,c-{(number - 1) % 10},,,,,")
        else:
            rows.append(f"o-{number},PAID,{customer},20.00,shirt,1,12.00,a")
            rows.append(f"o-{number},,,,socks,2,4.00,b")
    return rows


async def test_orders_go_in_and_an_interruption_does_no_harm(salon: Business, tmp_path: Path) -> None:
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    file, rows = tmp_path / "orders.csv", orders()
    rows += ["bad-1,FINISHED,c-1,1.00,,,,", "bad-2,PAID,,1.00,,,,", "bad-3,PAID,c-1,ten,,,,", rows[0], rows[1]]
    write_rows(file, ORDER_HEAD, rows)
    ran = await run_script(salon, "report_orders.py", file, caller=salon.integration)
    assert (ran.code, ran.out) == (1, f"{ORDERS} new, 1 again, 3 refused, 0 warnings"), ran
    assert [row["id"] for row in read_refused(file)] == ["bad-1", "bad-2", "bad-3"]
    anna = await find_customer(salon.staff, "c-0", "account { available }")
    bought = [number for number in range(0, ORDERS, 10) if number % 4 != 3]
    assert anna["account"]["available"] == 20 * len(bought)
    async with salon.unchanged():
        # It had sent the second batch and was interrupted before it could note that.
        done = file.with_name("orders.csv.done")
        _, counts, refused = json.loads(done.read_text("utf-8"))
        done.write_text(json.dumps([500, counts, refused]), "utf-8")
        again = await run_script(salon, "report_orders.py", file, caller=salon.integration)
        assert again.code == 1
        done.unlink()
        again = await run_script(salon, "report_orders.py", file, caller=salon.integration)
        assert again.out == f"0 new, {ORDERS + 1} again, 3 refused, 0 warnings"
    await salon.check_ledger()


async def test_orders_in_json_lines(salon: Business, tmp_path: Path) -> None:
    file = tmp_path / "orders.jsonl"
    good: Json = {
        "externalId": "j-1",
        "status": "COMPLETED",
        "customer": {"externalId": "anna", "fullName": "Anna", "email": "k.A."},
        "total": {"amount": "20.00", "currency": "EUR"},
    }
    lines = [json.dumps(good), "{broken", "[1]", json.dumps(good | {"externalId": "j-2", "total": {"amount": "20.00"}})]
    file.write_text("\n".join(lines), "utf-8")
    ran = await run_script(salon, "report_orders.py", file, caller=salon.integration)
    assert (ran.code, ran.out) == (1, "1 new, 0 again, 3 refused, 1 warnings"), ran
    refused = [json.loads(line) for line in (tmp_path / "orders.jsonl.refused").read_text("utf-8").splitlines()]
    assert [row.get("unreadable", row.get("externalId")) for row in refused] == ["{broken", "[1]", "j-2"]


async def test_returns_are_found_by_sku_and_count_once(salon: Business, tmp_path: Path) -> None:
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    order_file = tmp_path / "orders.csv"
    order_rows = ["o-1,PAID,anna,28.00,shirt,1,12.00,", "o-1,,,,socks,2,4.00,", "o-1,,,,socks,2,4.00,"]
    order_rows += ["o-2,PAID,ben,12.00,shirt,1,12.00,"]
    write_rows(order_file, ORDER_HEAD, order_rows)
    assert (await run_script(salon, "report_orders.py", order_file, caller=salon.integration)).code == 0
    file = tmp_path / "returns.csv"
    rows = [
        "r-1,o-1,socks,3,too small",
        "r-2,o-1,socks,,",
        "r-3,o-1,socks,1,",  # nothing left
        "r-4,o-2,hat,1,",  # not in the order
        "r-5,o-9,hat,1,",  # no such order
        "r-6,o-2,shirt,1,",
        "r-6,o-2,shirt,0,",
        "r-7,o-1,shirt,one,",
    ]
    write_rows(file, "return_id,order,sku,quantity,reason", rows)
    ran = await run_script(salon, "return_by_sku.py", file, caller=salon.integration)
    assert (ran.code, ran.out) == (1, "3 refunded, 0 again, 4 refused"), ran
    assert [row["return_id"] for row in read_refused(file)] == ["r-3", "r-4", "r-5", "r-7"]
    for customer, points in (("anna", 12), ("ben", 0)):
        found = await find_customer(salon.staff, customer, "account { available }")
        assert found["account"]["available"] == points
    async with salon.unchanged():
        again = await run_script(salon, "return_by_sku.py", file, caller=salon.integration)
        assert again.out == "0 refunded, 3 again, 4 refused"
    await salon.check_ledger()


async def test_a_nightly_reconciliation_finds_what_differs(salon: Business, tmp_path: Path) -> None:
    await create_rule(salon.manager, "A point per euro", ONE_PER_EURO)
    order_file = tmp_path / "orders.csv"
    order_rows = [f"o-{number},PAID,c-{number},10.00,,,," for number in range(130)]
    write_rows(order_file, ORDER_HEAD, order_rows)
    assert (await run_script(salon, "report_orders.py", order_file, caller=salon.integration)).code == 0

    async def told() -> bool:
        page = await salon.staff.get("query($c: Cursor) { events(after: $c, first: 100) { nodes { kind } } }")
        return len(page["nodes"]) == 100

    await until(told)
    file, cursor = tmp_path / "shop.csv", tmp_path / "shop.cursor"
    shop = [f"o-{number},paid,10,c-{number}" for number in range(130)]
    write_rows(file, "id,status,total,customer", shop)
    options = ("--cursor", str(cursor))
    clean = await run_script(salon, "reconcile_orders.py", file, *options, caller=salon.staff)
    assert (clean.code, clean.out, clean.err) == (0, "", "130 orders, 0 differences")
    extra = ["late,PAID,late,5.00,,,,"]
    write_rows(order_file, ORDER_HEAD, extra)
    order_file.with_name("orders.csv.done").unlink()
    assert (await run_script(salon, "report_orders.py", order_file, caller=salon.integration)).code == 0
    shop[1] = "o-1,COMPLETED,10.00,c-1"
    shop[2] = "o-2,,11.00,c-9"
    shop[129] = "missing,PAID,1.00,c-1"
    write_rows(file, "id,status,total,customer", shop)
    before = cursor.read_text("utf-8")

    async def moved_on() -> bool:
        cursor.write_text(before, "utf-8")
        ran = await run_script(salon, "reconcile_orders.py", file, *options, caller=salon.staff)
        return "late" in ran.out

    await until(moved_on)
    cursor.write_text(before, "utf-8")
    ran = await run_script(salon, "reconcile_orders.py", file, *options, caller=salon.staff)
    assert ran.out.split("\n") == [
        "o-1,status,COMPLETED,PAID\r",
        "o-2,total,11.00,10.00\r",
        "o-2,customer,c-9,c-2\r",
        "missing,order,only in the shop,\r",
        "late,order,,only recorded",
    ]
    assert (ran.code, ran.err) == (1, "130 orders, 5 differences")

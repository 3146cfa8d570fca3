"""Run the peer of the reads: PostGraphile over the same tables, as the same role, behind the same policies.

It asks the same questions as far as its schema has them. What Treue computes from other columns (the colours and the
note of an entry, the progress to the next tier) the peer's client computes, so the peer answers with those columns.
"""

import contextlib
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from bench.exchange import post_with
from bench.service import Service

FOLDER = Path(__file__).parent / "peers" / "reads"
_TIER = "tierByTenantIdAndTierId { name color minPoints }"
_ACCOUNT = f"accountByTenantIdAndCustomerId {{ available pending qualifying {_TIER} }}"
_CUSTOMER = "customerByTenantIdAndCustomerId"
_GREEN = ("#2E7D32", "GREEN")
"""The colours of the entries that this measurement has: all of them were earned."""


class Counterpart(NamedTuple):
    """The peer's document for a question, and how both answers are brought into one form."""

    document: str
    read_ours: Callable[[Any], Any]
    read_theirs: Callable[[Any], Any]


@contextlib.contextmanager
def running_postgraphile(service: Service) -> Iterator[tuple[int, int]]:
    """Run the peer during the block. Yield its port and its process id."""
    node = FOLDER / "node_modules" / "node" / "bin" / "node"
    if not node.exists():
        raise SystemExit("the packages of bench/peers/reads are needed: make bench-reads installs them (npm)")
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": service.urls.app,
        "NODE_ENV": "production",
        "GRAPHILE_ENV": "production",
    }
    command = [os.fspath(node), os.fspath(FOLDER / "postgraphile.mjs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as peer:  # noqa: S603 - ours
        try:
            line = peer.stdout.readline() if peer.stdout is not None else b""
            if not line:
                raise SystemExit("PostGraphile did not start")
            yield int(line), peer.pid
        finally:
            peer.terminate()


def post_to_peer(service: Service, document: str, variables: Mapping[str, Any]) -> bytes:
    """Return a complete POST request for an operation; its header names the tenant."""
    return post_with(f"x-tenant: {service.tenant_id}", document, variables)


# ── one customer ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _their_customer(data: Any) -> Any:
    """Compute the progress to the next tier, which the peer's client would do."""
    customer = data["customerByTenantIdAndExternalId"]
    account = customer["accountByTenantIdAndCustomerId"]
    counted, tier = int(account["qualifying"]), account["tierByTenantIdAndTierId"]
    begin = int(tier["minPoints"]) if tier else 0
    above = [one for one in data["allTiers"]["nodes"] if int(one["minPoints"]) > max(counted, begin)]
    following = above[0] if above else None
    progress: dict[str, Any] = {"percent": 100 if tier else 0, "pointsToNext": None, "next": None}
    if following:
        goal = int(following["minPoints"])
        progress = {
            "percent": 100 * max(0, counted - begin) // (goal - begin),
            "pointsToNext": goal - counted,
            "next": {"name": following["name"]},
        }
    return {**_their_profile(customer), "tierProgress": progress}


def _their_profile(customer: Any) -> Any:
    account = customer["accountByTenantIdAndCustomerId"]
    return {
        "externalId": customer["externalId"],
        "fullName": customer["fullName"],
        "points": {"available": int(account["available"]), "pending": int(account["pending"])},
        "tier": _their_tier(account),
    }


def _their_tier(account: Any) -> Any:
    tier = account["tierByTenantIdAndTierId"]
    return tier and {"name": tier["name"], "color": tier["color"]}


# ── a page of entries ─────────────────────────────────────────────────────────────────────────────────────────────────


def _our_entries(data: Any) -> Any:
    """Leave the ids out, which are global ids here, and compare times as instants."""
    return [
        {name: value for name, value in entry.items() if name != "id"} | {"occurredAt": _instant(entry)}
        for entry in data["report"]["activity"]["nodes"]
    ]


def _their_entries(data: Any) -> Any:
    return [
        {
            "entryKind": entry["kind"],
            "points": int(entry["points"]),
            "balanceAfter": int(entry["balanceAfter"]),
            "occurredAt": _instant(entry),
            "color": _GREEN[0],
            "displayColor": _GREEN[1],
            "note": entry["reason"],
            "customer": {
                "externalId": entry[_CUSTOMER]["externalId"],
                "fullName": entry[_CUSTOMER]["fullName"],
                "tier": _their_tier(entry[_CUSTOMER]["accountByTenantIdAndCustomerId"]),
            },
        }
        for entry in data["allEntries"]["nodes"]
    ]


def _instant(entry: Any) -> datetime:
    return datetime.fromisoformat(entry["occurredAt"])


# ── a connection of customers ─────────────────────────────────────────────────────────────────────────────────────────


def _our_connection(data: Any) -> Any:
    """Leave the cursors out: each side makes its own. Every edge must have one."""
    connection = data["customers"]
    return [edge["node"] for edge in connection["edges"] if edge["cursor"]], connection["pageInfo"]["hasNextPage"]


def _their_connection(data: Any) -> Any:
    connection = data["allCustomers"]
    nodes = [_their_profile(edge["node"]) for edge in connection["edges"] if edge["cursor"]]
    return nodes, connection["pageInfo"]["hasNextPage"]


COUNTERPARTS: Mapping[str, Counterpart] = {
    "one customer": Counterpart(
        "query($tenant: UUID!, $id: String!) { customerByTenantIdAndExternalId(tenantId: $tenant, externalId: $id) "
        f"{{ externalId fullName {_ACCOUNT} }} "
        "allTiers(condition: {deletedAt: null}, orderBy: MIN_POINTS_ASC) { nodes { name minPoints } } }",
        lambda data: data["customer"],
        _their_customer,
    ),
    "50 entries": Counterpart(
        "{ allEntries(first: 50, orderBy: [OCCURRED_AT_DESC, ROW_ID_DESC]) { nodes { "
        "rowId kind points balanceAfter occurredAt referenceKind referenceId reason "
        f"{_CUSTOMER} {{ externalId fullName "
        "accountByTenantIdAndCustomerId { tierByTenantIdAndTierId { name color } } } } } }",
        _our_entries,
        _their_entries,
    ),
    "50 customers": Counterpart(
        "{ allCustomers(first: 50, condition: {mergedInto: null}, orderBy: [SEARCH_NAME_ASC, ROW_ID_ASC]) { edges { "
        "cursor node { externalId fullName accountByTenantIdAndCustomerId { available pending "
        "tierByTenantIdAndTierId { name color } } } } pageInfo { hasNextPage endCursor } } }",
        _our_connection,
        _their_connection,
    ),
}


def compare_answers(question: str, ours: bytes, theirs: bytes) -> None:
    """End the run if the answers of Treue and of the peer do not say the same."""
    peer = COUNTERPARTS[question]
    said, told = peer.read_ours(orjson.loads(ours)["data"]), peer.read_theirs(orjson.loads(theirs)["data"])
    if said != told:
        raise SystemExit(f"{question}: Treue said {said!r:.600} and PostGraphile {told!r:.600}")

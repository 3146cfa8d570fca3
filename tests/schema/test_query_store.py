"""What a process keeps of documents by their hash is bounded, and nobody pays for what somebody else sends."""

import uuid

import pytest

from loyalty.rules.ids import TenantId
from loyalty.services.known_documents import ENTRY_BYTES
from schema.persisted import hash_of_text
from schema.query_store import (
    CLIENT_QUERY_BYTES,
    PROCESS_QUERY_BYTES,
    QUERY_IDLE_SECONDS,
    TENANT_QUERY_BYTES,
    QueryStore,
)

SALON = TenantId(uuid.UUID(int=1))
CLINIC = TenantId(uuid.UUID(int=2))
LARGE = 20_000
"""Characters of a large document: six of them fit into what one client may bring."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> QueryStore:
    return QueryStore(clock)


def document(number: int, length: int = LARGE) -> str:
    return f"query Q{number} {{ a }}".ljust(length)


def keep(store: QueryStore, tenant_id: TenantId, client: str, text: str) -> bool:
    return store.keep(tenant_id, client, hash_of_text(text), text)


def find(store: QueryStore, tenant_id: TenantId, text: str) -> str | None:
    return store.find(tenant_id, hash_of_text(text))


def test_a_document_serves_every_client_of_its_tenant_and_no_other_tenant(store: QueryStore) -> None:
    assert keep(store, SALON, "anna", document(1))
    assert find(store, SALON, document(1)) == document(1)
    assert find(store, CLINIC, document(1)) is None


def test_a_client_that_brings_much_loses_its_own_oldest_documents(store: QueryStore) -> None:
    keep(store, SALON, "anna", document(0))
    for number in range(1, 20):
        assert keep(store, SALON, "mallory", document(number))
        find(store, SALON, document(1))
    assert find(store, SALON, document(0)) == document(0)
    assert find(store, SALON, document(1)) == document(1), "it is in use"
    assert find(store, SALON, document(2)) is None
    assert find(store, SALON, document(19)) == document(19)
    assert store.kept_bytes <= CLIENT_QUERY_BYTES + LARGE + ENTRY_BYTES


def test_a_full_tenant_keeps_nothing_new_of_a_client_that_has_brought_nothing(store: QueryStore) -> None:
    keep(store, SALON, "anna", document(0))
    for number in range(1, 400):
        keep(store, SALON, f"mallory-{number}", document(number))
    assert store.kept_bytes <= TENANT_QUERY_BYTES
    assert not keep(store, SALON, "late", document(1_000))
    assert find(store, SALON, document(0)) == document(0)
    assert keep(store, SALON, "anna", document(1_001)), "who has documents there gives up its own"
    assert find(store, SALON, document(0)) is None
    assert keep(store, CLINIC, "late", document(1_000)), "another tenant has room of its own"


def test_a_process_keeps_so_much_and_no_more(store: QueryStore) -> None:
    tenants = [TenantId(uuid.UUID(int=number)) for number in range(10, 90)]
    for tenant_id in tenants:
        for number in range(60):
            keep(store, tenant_id, f"client-{number}", document(number))
    assert PROCESS_QUERY_BYTES - LARGE - ENTRY_BYTES < store.kept_bytes <= PROCESS_QUERY_BYTES
    assert find(store, tenants[0], document(0)) == document(0)


def test_an_unused_document_is_forgotten_and_makes_room(store: QueryStore, clock: Clock) -> None:
    keep(store, SALON, "anna", document(0))
    keep(store, SALON, "anna", document(1))
    clock.now = QUERY_IDLE_SECONDS / 2
    assert find(store, SALON, document(1)) is not None
    clock.now = QUERY_IDLE_SECONDS
    assert find(store, SALON, document(0)) is None
    assert find(store, SALON, document(1)) == document(1)
    clock.now *= 3
    assert find(store, SALON, document(1)) is None
    assert (len(store), store.kept_bytes) == (0, 0)


def test_a_document_larger_than_a_clients_share_is_not_kept_and_drops_nothing(store: QueryStore) -> None:
    keep(store, SALON, "anna", document(0))
    assert not keep(store, SALON, "anna", document(1, CLIENT_QUERY_BYTES))
    assert not keep(store, SALON, "anna", "😀" * (CLIENT_QUERY_BYTES // 4))
    assert find(store, SALON, document(0)) == document(0)


def test_keeping_the_same_document_again_counts_once(store: QueryStore) -> None:
    for client in ("anna", "ben", "anna"):
        assert keep(store, SALON, client, document(0))
    assert (len(store), store.kept_bytes) == (1, LARGE + ENTRY_BYTES)

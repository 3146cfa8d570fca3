"""One type for each kind of id, so that a type checker finds a customer's id in the place of a tenant's.

Ids are UUIDs made by the services; rules only compare and carry them.
"""

from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
CustomerId = NewType("CustomerId", UUID)
PurchaseId = NewType("PurchaseId", UUID)
RuleId = NewType("RuleId", UUID)
TierId = NewType("TierId", UUID)
EntryId = NewType("EntryId", UUID)
LotId = NewType("LotId", UUID)
AccrualId = NewType("AccrualId", UUID)
AdjustmentId = NewType("AdjustmentId", UUID)
HoldId = NewType("HoldId", UUID)
RedemptionId = NewType("RedemptionId", UUID)
RedemptionReturnId = NewType("RedemptionReturnId", UUID)
PurchaseRefundId = NewType("PurchaseRefundId", UUID)
CustomerMergeId = NewType("CustomerMergeId", UUID)
OpeningBalanceId = NewType("OpeningBalanceId", UUID)
EventId = NewType("EventId", UUID)
JobId = NewType("JobId", UUID)
TokenId = NewType("TokenId", UUID)
GiftCardProductId = NewType("GiftCardProductId", UUID)
GiftCardId = NewType("GiftCardId", UUID)
GiftCardEntryId = NewType("GiftCardEntryId", UUID)
GiftCardHoldId = NewType("GiftCardHoldId", UUID)
GiftCardGiftId = NewType("GiftCardGiftId", UUID)

"""One small operation for each root field, which changes nothing: what it names is not there, or not allowed.

A root field that is missing here fails the tests that walk the schema.
"""

from tests.acceptance.client import Json, money, mutation, purchase_of

NOWHERE = "Tm93aGVyZTox"
"""A text that is no global id."""

QUERIES: dict[str, str] = {
    "viewer": "{ viewer { kind } }",
    "me": "{ me { id } }",
    "eventCursor": "{ eventCursor }",
    "events": "{ events { endCursor } }",
    "node": f'{{ node(id: "{NOWHERE}") {{ id }} }}',
    "nodes": f'{{ nodes(ids: ["{NOWHERE}"]) {{ id }} }}',
    "program": "{ program { id } }",
    "earningRules": "{ earningRules { nodes { id } } }",
    "tiers": "{ tiers { id } }",
    "catalogItems": "{ catalogItems { nodes { name } } }",
    "catalogItem": '{ catalogItem(by: {key: {kind: SERVICE, externalId: "nothing"}}) { name } }',
    "giftCardProducts": "{ giftCardProducts { nodes { id } } }",
    "giftCard": f'{{ giftCard(id: "{NOWHERE}") {{ id }} }}',
    "giftCards": "{ giftCards { nodes { id } } }",
    "giftCardLookup": '{ giftCardLookup(code: "nothing") { userErrors { code } } }',
    "giftCardProduct": f'{{ giftCardProduct(id: "{NOWHERE}") {{ id }} }}',
    "job": f'{{ job(id: "{NOWHERE}") {{ id }} }}',
    "apiTokens": "{ apiTokens { id } }",
    "oauthClients": "{ oauthClients { id } }",
    "tokens": "{ tokens { nodes { id } } }",
    "auditLog": "{ auditLog { nodes { id } } }",
    "customers": "{ customers { nodes { id } } }",
    "customer": '{ customer(by: {externalId: "nobody"}) { id } }',
    "customersByExternalId": '{ customersByExternalId(externalIds: ["nobody"]) { id } }',
    "purchasesByKey": '{ purchasesByKey(keys: [{kind: ORDER, externalId: "nothing"}]) { id } }',
    "purchase": '{ purchase(by: {key: {kind: ORDER, externalId: "nothing"}}) { id } }',
    "adjustment": f'{{ adjustment(id: "{NOWHERE}") {{ id }} }}',
    "purchases": "{ purchases { nodes { id } } }",
    "adjustments": "{ adjustments { nodes { id } } }",
    "holds": "{ holds { nodes { id } } }",
    "redemptions": "{ redemptions { nodes { id } } }",
    "report": '{ report(range: {from: "2026-01-01", to: "2026-01-31"}) { pointsEarned } }',
    "giftCardReport": '{ giftCardReport(range: {from: "2026-01-01", to: "2026-01-31"}) { endsAt } }',
    "checkoutQuote": '{ checkoutQuote(input: {subtotal: {amount: "10.00", currency: "EUR"}}) { total { amount } } }',
    "ledgerVerification": "{ ledgerVerification { sound } }",
}

MUTATIONS: dict[str, Json] = {
    "programUpdate": {},
    "programApplyPreset": {"preset": "SHOP", "expectedVersion": 0},
    "earningRuleCreate": {"name": "", "award": {"fixed": {"points": 1}}},
    "earningRuleUpdate": {"id": NOWHERE},
    "earningRuleDelete": {"id": NOWHERE},
    "giftCardBuy": {"product": NOWHERE, "customer": {"externalId": "nobody"}, "idempotencyKey": "key"},
    "giftCardIssue": {"origin": "MONEY", "amount": money("0.00"), "idempotencyKey": "key"},
    "giftCardHold": {"giftCard": {"id": NOWHERE}, "amount": money("1.00"), "idempotencyKey": "key"},
    "giftCardCapture": {"hold": NOWHERE, "idempotencyKey": "key"},
    "giftCardRelease": {"hold": NOWHERE, "idempotencyKey": "key"},
    "giftCardReturn": {"hold": NOWHERE, "idempotencyKey": "key"},
    "giftCardExtend": {"giftCard": NOWHERE, "expiresOn": "2099-12-31", "reason": "late", "idempotencyKey": "key"},
    "giftCardCancel": {"giftCard": NOWHERE, "idempotencyKey": "key"},
    "giftCardGive": {"giftCard": NOWHERE, "recipientName": "Eva", "idempotencyKey": "key"},
    "giftCardClaim": {"code": "nothing", "idempotencyKey": "key"},
    "giftCardProductCreate": {"name": "", "faceValue": money("10.00")},
    "giftCardProductUpdate": {"id": NOWHERE},
    "giftCardProductArchive": {"id": NOWHERE},
    "tierCreate": {"name": "", "color": "#000000", "minPoints": 0},
    "tierUpdate": {"id": NOWHERE},
    "tierDelete": {"id": NOWHERE},
    "customerTierSet": {"customer": {"externalId": "nobody"}, "tier": None, "idempotencyKey": "key"},
    "customerTierUnlock": {"customer": {"externalId": "nobody"}},
    "catalogItemsUpsert": {},
    "customerUpsert": {"externalId": ""},
    "customersUpsert": {"items": []},
    "customerArchive": {"customer": {"externalId": "nobody"}},
    "customerUnarchive": {"customer": {"externalId": "nobody"}},
    "purchaseRecord": purchase_of("", "10.00"),
    "purchasesRecord": {"items": []},
    "purchaseRefund": {"purchase": {"id": NOWHERE}, "idempotencyKey": "key"},
    "purchaseReassign": {
        "purchase": {"id": NOWHERE},
        "target": {"externalId": "nobody"},
        "idempotencyKey": "key",
    },
    "purchaseMature": {"purchase": {"id": NOWHERE}, "idempotencyKey": "key"},
    "redemptionHold": {
        "customer": {"externalId": "nobody"},
        "points": 1,
        "subtotal": money("10.00"),
        "purchase": {"kind": "ORDER", "externalId": "cart"},
        "idempotencyKey": "key",
    },
    "redemptionCapture": {"hold": NOWHERE, "idempotencyKey": "key"},
    "redemptionRelease": {"hold": NOWHERE, "idempotencyKey": "key"},
    "redemptionReturn": {"redemption": NOWHERE, "idempotencyKey": "key"},
    "customerMerge": {
        "source": {"externalId": "nobody"},
        "target": {"externalId": "nobody"},
        "idempotencyKey": "key",
    },
    "openingBalancesImport": {"items": []},
    "sandboxClockAdvance": {"by": "P1D", "idempotencyKey": "key"},
    "pointsAdjust": {"customer": {"externalId": "nobody"}, "idempotencyKey": "key", "amount": 1},
    "apiTokenCreate": {"name": "", "permissions": ["LOYALTY_READ"]},
    "apiTokenRevoke": {"id": NOWHERE},
    "apiTokenRotate": {"id": NOWHERE},
    "oauthClientCreate": {"name": "", "permissions": ["LOYALTY_READ"]},
    "oauthClientRotateSecret": {"id": NOWHERE},
    "oauthClientRevoke": {"id": NOWHERE},
    "customerTokenCreate": {"customer": {"externalId": "nobody"}},
    "signedTokensRevoke": {"of": {"subject": ""}},
    "allowedOriginsSet": {"origins": ["*"]},
}

SUBSCRIPTIONS: dict[str, str] = {
    # A cursor that is none ends the stream at once, after the permission was looked at.
    "tierUpgraded": 'subscription { tierUpgraded(after: "none") { cursor } }',
    "pointsChanged": 'subscription { pointsChanged(after: "none") { cursor } }',
    "pointsExpiring": 'subscription { pointsExpiring(after: "none") { cursor } }',
}

OPERATIONS: dict[str, tuple[str, Json]] = {
    **{name: (document, {}) for name, document in QUERIES.items()},
    **{name: (mutation(name, "__typename"), {"input": given}) for name, given in MUTATIONS.items()},
    **{name: (document, {}) for name, document in SUBSCRIPTIONS.items()},
}

"""Whose rows are whose."""

from __future__ import annotations

from typing import LiteralString

from tests.invariants.asking import Connection

_OF_ANOTHER: LiteralString = (
    "(merchant_id, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())"
)
_TENANT_OF: dict[str, LiteralString] = {
    "accounts": (
        "(number / 10000000, number / 1000 % 10)"
        " IS DISTINCT FROM (current_merchant(), current_livemode()::integer)"
    ),
    "acquirer_streams": _OF_ANOTHER,
    "api_keys": "merchant_id IS DISTINCT FROM current_merchant()",
    "attempts": _OF_ANOTHER,
    "balance_states": _OF_ANOTHER,
    "bank_accounts": _OF_ANOTHER,
    "bank_answers": _OF_ANOTHER,
    "bank_files": (
        "NOT EXISTS (SELECT FROM bank_orders WHERE bank_file = bank_files.id"
        " AND (merchant_id, livemode) = (current_merchant(), current_livemode()))"
    ),
    "charges": _OF_ANOTHER,
    "deliveries": _OF_ANOTHER,
    "delivery_attempts": _OF_ANOTHER,
    "disputes": _OF_ANOTHER,
    "event_numbers": _OF_ANOTHER,
    "events": _OF_ANOTHER,
    "idempotency_keys": _OF_ANOTHER,
    "journal": "(owner, livemode) IS DISTINCT FROM (current_merchant(), current_livemode())",
    "members": "merchant_id IS DISTINCT FROM current_merchant()",
    "merchant_changes": "merchant_id IS DISTINCT FROM current_merchant()",
    "micro_deposits": _OF_ANOTHER,
    "merchants": "id IS DISTINCT FROM current_merchant()",
    "outbox": _OF_ANOTHER,
    "payout_items": _OF_ANOTHER,
    "payouts": _OF_ANOTHER,
    "recoveries": _OF_ANOTHER,
    "recovery_debits": _OF_ANOTHER,
    "refunds": _OF_ANOTHER,
    "reports": _OF_ANOTHER,
    "reserves": _OF_ANOTHER,
    "settled_through": _OF_ANOTHER,
    "settlements": _OF_ANOTHER,
    "test_clocks": _OF_ANOTHER,
    "users": (
        "NOT EXISTS (SELECT FROM members WHERE user_id = users.id"
        " AND merchant_id = current_merchant())"
    ),
    "webhook_endpoints": _OF_ANOTHER,
}
"""Each table that holds a tenant's rows, and which of them are somebody else's."""

_NOBODYS = {
    "acquirer_settlements", "bank_holidays", "bank_lines", "bank_originators", "bank_receipts",
    "bank_statements", "chart", "clearing_accounts", "currencies", "event_watermark", "fee_plans",
    "matching_rules", "migrations", "posting_kinds", "rollup", "suspense_items", "transitions",
}  # fmt: skip
"""Tables with nothing of a merchant's in them."""

_MAX_TENANTS = 4


def i10_no_row_of_another_tenant(connection: Connection) -> list[str]:
    """As ``ivy_app``, each tenant sees its own rows only, and nobody sees nothing."""
    tables = {
        str(name)
        for (name,) in connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'ivy'::regnamespace"
            " AND relkind IN ('r', 'p')"
        )
    }
    found = [f"table {name} is not classified" for name in tables - set(_TENANT_OF) - _NOBODYS]
    merchants = connection.execute("SELECT id FROM merchants ORDER BY id LIMIT %s", (_MAX_TENANTS,))
    tenants = [
        (str(number), mode) for (number,) in merchants.fetchall() for mode in ("true", "false")
    ]
    for merchant, mode in [("", ""), *tenants]:
        seen = _foreign_rows(connection, merchant, mode, tables & set(_TENANT_OF))
        found += [f"{merchant or 'nobody'} {mode} sees {n} of {t}" for t, n in seen if n]
    return found


def _foreign_rows(
    connection: Connection, merchant: str, mode: str, tables: set[str]
) -> list[tuple[str, int]]:
    counts = [f"SELECT '{name}', count(*) FROM {name} WHERE {_TENANT_OF[name]}" for name in tables]
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL ROLE ivy_app")
        connection.execute(
            "SELECT set_config('app.merchant', %s, true), set_config('app.livemode', %s, true)",
            (merchant, mode),
        )
        return connection.execute(" UNION ALL ".join(counts).encode()).fetchall()

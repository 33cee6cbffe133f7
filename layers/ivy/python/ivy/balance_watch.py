"""The watch over balances: every minute, what has crossed zero, and what has stayed below it.

Postings do not look. Most of them take no lock on a balance, so what one of them sees is not what
there will be when it commits, and two that cross zero together would both see themselves on the
same side. The stored balances, which the roll-up has just moved on, say which are worth a look;
then each is looked at exactly, under the lock of its merchant's funds and in a transaction of its
own, which writes the new state and its event. So a crossing is announced once. One that is undone
within the minute may not be. Runs as ``ivy_jobs``, and posts nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import LiteralString

from ivy import (
    balance_states,
    calendars,
    faults,
    ids,
    ledger,
    observe,
    recoveries,
    recovery_debits,
    states,
)
from ivy.balance_states import BalanceState
from ivy.database import Database, Tenant, Transaction
from ivy.ledger import Chart, account_number
from ivy.operations import account_name
from ivy.recoveries import Recovery

MAX_LOOKS = 500
"""Balances that one run looks at of each kind; more wait for the next."""


class NotLookedAtError(RuntimeError):
    """What a run wanted of some balances failed; the log says why of each."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one run did."""

    crossed: int
    ended: int
    opened: int


@dataclass(frozen=True, slots=True)
class _Balance:
    merchant_id: int
    livemode: bool
    currency: str

    @property
    def tenant(self) -> Tenant:
        return Tenant(self.merchant_id, self.livemode)


@dataclass(frozen=True, slots=True)
class _Ageing:
    merchant_id: int
    livemode: bool
    currency: str
    recovery_days: int
    since: date
    today: date
    came_back: bool
    holidays: list[date]

    @property
    def balance(self) -> _Balance:
        return _Balance(self.merchant_id, self.livemode, self.currency)

    @property
    def is_due(self) -> bool:
        if self.came_back:
            return True  # the merchant has had its days before the debit
        closed = frozenset(self.holidays)
        day = calendars.business_day_after(self.since, self.recovery_days, closed)
        return day <= self.today


def look(database: Database, at: datetime) -> Seen:
    """Announce what has crossed zero; end recoveries and open those that are due.

    What is to be debited and is not owed any more is taken back.

    ``at`` is the real time.

    Raises:
        NotLookedAtError: After everything else is done, when it failed for some balance.
    """
    with database.transaction() as tx:
        candidates = tx.rows(_Balance, _CANDIDATES, limit=MAX_LOOKS)
    crossed, unseen = _each(database, candidates, _cross)
    with database.transaction() as tx:
        lifted = tx.rows(_Balance, _LIFTED, limit=MAX_LOOKS)
    ended, unended = _each(database, lifted, _end)
    with database.transaction() as tx:
        netted = tx.rows(_Balance, _NETTED, limit=MAX_LOOKS)
    _, kept = _each(database, netted, _take_back)
    with database.transaction() as tx:
        ageing = tx.rows(_Ageing, _AGEING, at=at, limit=MAX_LOOKS)
    opened, unopened = _each(database, [old.balance for old in ageing if old.is_due], _open)
    if failed := unseen + unended + kept + unopened:
        raise NotLookedAtError(f"{failed} balances could not be looked at")
    return Seen(crossed, ended, opened)


def _each(
    database: Database, balances: list[_Balance], work: Callable[[Transaction, _Balance], bool]
) -> tuple[int, int]:
    """Do the same with each balance, and return with how many it had an effect, and failed."""
    done = failed = 0
    for balance in balances:
        try:
            with database.transaction() as tx:
                done += work(tx, balance)
        except Exception:  # noqa: BLE001 - logged, and raised when the others have had their turn
            failed += 1
            observe.failure(
                "balance.not_looked_at",
                account=account_name(balance.tenant),
                currency=balance.currency,
            )
    return done, failed


def _cross(tx: Transaction, balance: _Balance) -> bool:
    return cross(tx, balance.tenant, balance.currency)


def cross(tx: Transaction, tenant: Tenant, currency: str) -> bool:
    """Write and announce that a balance has crossed zero; False where it has not.

    Above zero again, its recovery has ended.
    """
    tx.choose(tenant)
    before, available = _exactly(tx, tenant, currency)
    negative = available < 0
    if negative == (before is not None and before.status == "negative"):
        return False
    at = tx.now()
    state = BalanceState(
        id=before.id if before else ids.new(at),
        livemode=tenant.livemode,
        created_at=before.created_at if before else at,
        currency=currency,
        status="negative" if negative else "available",
        available=available,
        negative_since=_since(tx, tenant, currency) if negative else None,
        version=before.version + 1 if before else 1,
    )
    balance_states.save(tx, tenant.merchant_id, state)
    change = states.transition("balance", before.status if before else states.BEGIN, state.status)
    states.record(tx, tenant, change, state, at=at)
    if not negative:
        _recover(tx, tenant, currency, at)
    faults.point("balances.watch.before_crossing")
    return True


def _exactly(tx: Transaction, tenant: Tenant, currency: str) -> tuple[BalanceState | None, int]:
    """Return what was said of a balance and what it is, and let nobody else say or spend it."""
    ledger.lock_funds(tx, tenant, currency)
    before = balance_states.lock(tx, tenant.merchant_id, currency, livemode=tenant.livemode)
    return before, ledger.balance(tx, tenant, currency, Chart.AVAILABLE)


def _since(tx: Transaction, tenant: Tenant, currency: str) -> datetime:
    """Return when the entry was made after which a balance was below zero and stayed there."""
    found: datetime = tx.value(
        _SINCE,
        owner=tenant.merchant_id,
        livemode=tenant.livemode,
        available=account_number(Chart.AVAILABLE, currency, tenant),
    )
    return found


def _end(tx: Transaction, balance: _Balance) -> bool:
    """End the recovery of a balance that is at zero or above, once no debit is under way."""
    tenant = balance.tenant
    tx.choose(tenant)
    _, available = _exactly(tx, tenant, balance.currency)
    return available >= 0 and _recover(tx, tenant, balance.currency, tx.now())


def _recover(tx: Transaction, tenant: Tenant, currency: str, at: datetime) -> bool:
    """Note that a balance has recovered, unless a debit that made it so may come to nothing.

    A debit that no bank has been told of is not needed any more, and is taken back.
    """
    before = recoveries.lock_under_way(tx, tenant, currency)
    if before is None:
        return False
    debit = recovery_debits.lock_open(tx, tenant, before.id)
    if ledger.balance(tx, tenant, currency, Chart.AVAILABLE) < 0:
        return False  # the debit that was waited for has come to nothing
    if debit and not recovery_debits.cancel(tx, tenant, debit, by="ivy", at=at):
        return False
    after = recoveries.changed(before, status="recovered")
    tx.run(
        "UPDATE recoveries SET status = %(status)s, version = %(version)s WHERE id = %(id)s",
        id=after.id,
        status=after.status,
        version=after.version,
    )
    recoveries.save(tx, tenant, before, after, at=at)
    faults.point("balances.watch.before_recovery")
    return True


def _take_back(tx: Transaction, balance: _Balance) -> bool:
    """Cancel a debit, in no file yet, of more than is owed by now; the rest can be asked for."""
    tenant = balance.tenant
    tx.choose(tenant)
    _, available = _exactly(tx, tenant, balance.currency)
    recovery = recoveries.lock_under_way(tx, tenant, balance.currency)
    debit = recovery_debits.lock_open(tx, tenant, recovery.id) if recovery else None
    if debit is None or debit.amount <= -available:
        return False
    return recovery_debits.cancel(tx, tenant, debit, by="ivy", at=tx.now()) is not None


def _open(tx: Transaction, balance: _Balance) -> bool:
    """Open the recovery of a balance, if it is still below zero."""
    tenant = balance.tenant
    tx.choose(tenant)
    state, available = _exactly(tx, tenant, balance.currency)
    if state is None or state.negative_since is None or available >= 0:
        return False
    at = tx.now()
    recovery = Recovery(
        id=ids.new(at),
        livemode=tenant.livemode,
        created_at=at,
        amount=-available,
        currency=balance.currency,
        negative_since=state.negative_since,
    )
    opened = recoveries.open_one(tx, tenant, recovery)
    faults.point("balances.watch.before_opening")
    return opened


_CANDIDATES = """
    SELECT accounts.number / 10000000 AS merchant_id,
           mod(accounts.number / 1000, 10) = 1 AS livemode, code AS currency
    FROM accounts
    JOIN currencies ON currencies.number = mod(accounts.number / 10000, 1000)
    LEFT JOIN balance_states ON (merchant_id, livemode, currency)
        = (accounts.number / 10000000, mod(accounts.number / 1000, 10) = 1, code)
    WHERE mod(accounts.number, 1000) = 220
      AND (balance > 0) IS DISTINCT FROM coalesce(status = 'negative', false)
    LIMIT %(limit)s
"""

# Not those that a debit has lifted which may still fail. One that is in no file is taken back.
_LIFTED = """
    SELECT recoveries.merchant_id, recoveries.livemode, recoveries.currency
    FROM recoveries JOIN balance_states USING (merchant_id, livemode, currency)
    WHERE recoveries.status = 'open' AND balance_states.status = 'available'
      AND NOT EXISTS (
        SELECT FROM recovery_debits
        WHERE (recovery_debits.merchant_id, recovery_debits.livemode, recovery_id)
            = (recoveries.merchant_id, recoveries.livemode, recoveries.id)
          AND (recovery_debits.status = 'in_transit'
               OR (recovery_debits.status = 'pending' AND bank_file IS NOT NULL)))
    LIMIT %(limit)s
"""

_NETTED: LiteralString = (
    """
    SELECT merchant_id, livemode, currency
    FROM recovery_debits
    WHERE status = 'pending' AND bank_file IS NULL AND amount > -"""
    + ledger.available_of("recovery_debits")
    + " LIMIT %(limit)s"
)

_AGEING = """
    SELECT merchant_id, livemode, currency, recovery_days,
           (negative_since AT TIME ZONE time_zone)::date AS since, today, came_back,
           ARRAY(SELECT day FROM bank_holidays
                 WHERE bank_holidays.currency = balance_states.currency
                   AND day BETWEEN negative_since::date AND today + 1) AS holidays
    FROM balance_states
    JOIN merchants ON merchants.id = merchant_id
    LEFT JOIN test_clocks USING (merchant_id, livemode)
    CROSS JOIN LATERAL (
        SELECT ((%(at)s + coalesce(ahead, '0')) AT TIME ZONE time_zone)::date AS today) AS wall
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT FROM recovery_debits
            WHERE (recovery_debits.merchant_id, recovery_debits.livemode, recovery_debits.currency)
                = (balance_states.merchant_id, balance_states.livemode, balance_states.currency)
              AND recovery_debits.status = 'returned' AND returned_at >= negative_since)
            AS came_back) AS debits
    WHERE balance_states.status = 'negative'
      AND (came_back OR (negative_since AT TIME ZONE time_zone)::date + recovery_days <= today)
      AND NOT EXISTS (
        SELECT FROM recoveries
        WHERE (recoveries.merchant_id, recoveries.livemode, recoveries.currency)
            = (balance_states.merchant_id, balance_states.livemode, balance_states.currency)
          AND recoveries.status NOT IN ('recovered', 'written_off'))
    ORDER BY negative_since
    LIMIT %(limit)s
"""

# In the order of transactions: those of one millisecond have none by their time.
_SINCE = """
    WITH moved AS (
        SELECT recorded_at, row_number() OVER steps AS step,
               sum(-leg.amount) OVER steps AS available
        FROM journal
        CROSS JOIN LATERAL (VALUES (a1, v1), (a2, v2), (a3, v3), (a4, v4)) leg (account, amount)
        WHERE owner = %(owner)s AND livemode = %(livemode)s
          AND (mod(a1, 1000) = 220 OR mod(a2, 1000) = 220 OR mod(a3, 1000) = 220
               OR mod(a4, 1000) = 220)
          AND leg.account = %(available)s
        WINDOW steps AS (ORDER BY xid, recorded_at, journal.id)
    )
    SELECT recorded_at FROM moved
    WHERE step > (SELECT coalesce(max(step), 0) FROM moved WHERE available >= 0)
    ORDER BY step LIMIT 1
"""

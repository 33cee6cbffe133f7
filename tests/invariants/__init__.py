"""What must be true of a database after anything at all has happened to it.

Each function is one invariant. It looks past every grant and policy, through a superuser's
connection with ``search_path=ivy``, and returns one line for each violation; ``broken`` asks all
of them. ``tests/faults/test_invariants.py`` plants a corruption for each and sees it alone found.

Nothing of the product is asked: what a posting must look like, how an object may change and what
an account must hold is said here a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from tests.invariants.amounts import (
    i4_parts_stay_within_the_whole,
    i5_refunds_overdraw_within_the_limit,
    i6_accounts_hold_what_objects_say,
    i17_each_settled_day_is_one_batch,
)
from tests.invariants.answers import (
    Acknowledged,
    i8_a_key_has_one_answer,
    i13_acknowledged_is_kept,
)
from tests.invariants.asking import Connection
from tests.invariants.histories import i7_each_change_has_one_event, i9_only_legal_states
from tests.invariants.journal import (
    i1_entries_sum_to_zero,
    i2_balances_equal_entries,
    i3_each_transition_is_posted_once,
    i11_journal_is_append_only,
)
from tests.invariants.promises import (
    i12_nothing_is_left_over,
    i14_the_undecided_is_promised,
    i15_streams_have_no_gap,
    i16_each_event_goes_where_it_is_wanted,
)
from tests.invariants.tenants import i10_no_row_of_another_tenant

__all__ = ["ALWAYS", "Acknowledged", "Connection", "broken", "i12_nothing_is_left_over"]

ALWAYS: tuple[Callable[[Connection], list[str]], ...] = (
    i1_entries_sum_to_zero,
    i2_balances_equal_entries,
    i3_each_transition_is_posted_once,
    i4_parts_stay_within_the_whole,
    i5_refunds_overdraw_within_the_limit,
    i6_accounts_hold_what_objects_say,
    i7_each_change_has_one_event,
    i9_only_legal_states,
    i10_no_row_of_another_tenant,
    i11_journal_is_append_only,
    i14_the_undecided_is_promised,
    i15_streams_have_no_gap,
    i16_each_event_goes_where_it_is_wanted,
    i17_each_settled_day_is_one_batch,
)
"""True at any moment, of the database alone."""


def broken(
    connection: Connection, acknowledged: Collection[Acknowledged] = ()
) -> dict[str, list[str]]:
    """Return the violations by invariant; empty when all is well at this moment."""
    found = {invariant.__name__: invariant(connection) for invariant in ALWAYS}
    for invariant in (i8_a_key_has_one_answer, i13_acknowledged_is_kept):
        found[invariant.__name__] = invariant(connection, acknowledged)
    return {name: lines for name, lines in found.items() if lines}

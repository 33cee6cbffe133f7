from __future__ import annotations

from uuid import UUID

import pytest

from ivy import errors
from ivy.callers import Caller, Scope
from ivy.database import Tenant


def test_a_missing_scope_is_named() -> None:
    caller = Caller(Tenant(1, livemode=False), UUID(int=1), frozenset({"charges:read"}))
    caller.demand(Scope.CHARGES_READ)
    with pytest.raises(errors.ScopeMissing) as refused:
        caller.demand(Scope.CHARGES_WRITE)
    assert refused.value.param == "charges:write"
    assert "charges:write" in refused.value.detail

"""Every minute: be the bank of test mode, which takes files of payouts and answers them."""

from typing import Any

from ivy import ids, simulated_bank
from ivy.needs import Need
from ivy.serve import job


@job("rate(1 minute)", uses=(Need.SIMULATED_BANK,))
def handler() -> dict[str, Any]:
    """Take what has come, then give what is due by now."""
    return simulated_bank.work(ids.now())._asdict()

"""The queue of the settlement run."""

from __future__ import annotations

from collections.abc import Sequence

from ivy import faults
from ivy.aws import client
from ivy.settings import settings
from ivy.settlement_run import Shard

_SQS_BATCH = 10


class NotSentError(RuntimeError):
    """The queue did not take every shard; the run is to be repeated, which does no harm."""


def send(shards: Sequence[Shard]) -> None:
    """Send shards to the function that settles them.

    Raises:
        NotSentError: Some may have been sent and others not.
    """
    url = settings().required("settlements_queue_url")
    for start in range(0, len(shards), _SQS_BATCH):
        answer = client("sqs").send_message_batch(
            QueueUrl=url,
            Entries=[
                {"Id": str(number), "MessageBody": shard.model_dump_json()}
                for number, shard in enumerate(shards[start : start + _SQS_BATCH])
            ],
        )
        faults.point("settlements.after_send")
        if answer.get("Failed"):
            raise NotSentError(f"{len(answer['Failed'])} shards were not sent")

"""POST /v1/simulator/challenges/{reference}."""

from ivy.connectors import challenges
from ivy.connectors.challenges import Answer, Challenge, Reference
from ivy.needs import Need
from ivy.serve import endpoint


@endpoint("POST /v1/simulator/challenges/{reference}", public=True, uses=(Need.CONNECTORS,))
def handler(reference: Reference, answer: Answer) -> Challenge:
    """Approve or decline a test payment in its payer's place.

    The first answer within the hour counts; the charge learns of it when the acquirer is asked
    again, within three minutes.
    """
    return challenges.answer(reference, approve=answer.approve)

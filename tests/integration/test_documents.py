"""Documents as answers: small ones in the answer, large ones where they are."""

from __future__ import annotations

from urllib.request import urlopen

import pytest

from ivy import documents
from ivy.models import Document, Elsewhere
from ivy.needs import Need
from tests.driving import Platform

KEY, CONTENT = "reports/test/mer_1/stl_1.csv", b"id,net\ntxn_1,9680\n"


@pytest.fixture(autouse=True)
def _entered(platform: Platform) -> None:
    platform.enter((Need.REPORTS_READ,))
    documents.put(KEY, CONTENT)


def served() -> Document | Elsewhere:
    return documents.serve(KEY, name="stl_1.csv", media_type="text/csv; charset=utf-8")


def test_a_small_one_is_the_answer() -> None:
    assert served() == Document(CONTENT, "text/csv; charset=utf-8", "stl_1.csv")


def test_a_large_one_is_had_from_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MAX_ANSWER_BYTES", len(CONTENT) - 1)
    found = served()
    assert isinstance(found, Elsewhere)
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in found.url
    assert f"X-Amz-Expires={documents.LINK_SECONDS}" in found.url
    with urlopen(found.url) as answer:  # noqa: S310 - the address of this machine's S3
        assert answer.read() == CONTENT
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="stl_1.csv"'


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(Exception, match="NoSuchKey"):
        documents.serve("reports/test/mer_1/none.csv", name="none", media_type="text/csv")

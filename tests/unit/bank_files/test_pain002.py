from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ivy.bank_files import BankFileError, pain002
from ivy.bank_files.pain002 import FileStatus, Report, Transfer, TransferStatus
from tests.unit.bank_files import messages
from tests.unit.bank_files.samples import AT, payout, report

transfers = st.builds(
    Transfer,
    end_to_end_id=st.integers(0, 2**64).map(payout),
    status=st.sampled_from(get_args(TransferStatus)),
    reason=st.none() | st.sampled_from(("AC04", "AM05", "OWN-12")),
    note=st.just("") | st.text("abc<&> é", min_size=1, max_size=80).map(lambda t: f"x{t}".strip()),
)


@given(
    st.lists(transfers, max_size=8, unique_by=lambda each: each.end_to_end_id),
    st.none() | st.sampled_from(get_args(FileStatus)),
    st.booleans(),
)
def test_a_report_comes_back_as_it_was_written(
    drawn: list[Transfer], status: FileStatus, collects: bool
) -> None:
    drawn = [replace(each, note=" ".join(each.note.split())) for each in drawn]
    if status == "RJCT":
        drawn = [replace(each, status="RJCT") for each in drawn]
    whole = Report("m", AT, "bf_1", status, None, tuple(drawn), len(drawn), collects)
    assert pain002.parse(pain002.write(whole)) == whole


@given(st.lists(transfers, max_size=5, unique_by=lambda each: each.end_to_end_id))
@settings(max_examples=30)
def test_the_classes_of_the_standard_accept_a_report(drawn: list[Transfer]) -> None:
    whole = Report("m", AT, "bf_1", "PART", "NARR", tuple(drawn), len(drawn))
    assert messages.complaints(pain002.write(whole), pain002.MESSAGE) == []


def test_the_classes_of_the_standard_refuse_another_order() -> None:
    content = pain002.write(report()).decode()
    swapped = content.replace("<MsgId>status-1</MsgId>\n", "").replace(
        "</CreDtTm>\n", "</CreDtTm>\n<MsgId>status-1</MsgId>\n"
    )
    assert messages.complaints(swapped.encode(), pain002.MESSAGE)
    long = content.replace("status-1", "x" * 36)
    assert messages.complaints(long.encode(), pain002.MESSAGE)


def test_our_ids_come_back_from_the_spelling_of_the_sepa() -> None:
    content = pain002.write(report()).replace(b"po_", b"po-").replace(b"bf_", b"bf-")
    assert pain002.parse(content) == report()


@pytest.mark.parametrize("collects", [True, False])
def test_a_report_names_the_message_that_it_is_on(*, collects: bool) -> None:
    content = pain002.write(replace(report(), collects=collects))
    assert (b"<OrgnlMsgNmId>pain.008.001.08<" in content) == collects
    assert (b"<OrgnlMsgNmId>pain.001.001.09<" in content) != collects
    assert messages.complaints(content, pain002.MESSAGE) == []


def test_each_transfer_says_on_which_line_it_is() -> None:
    content = pain002.write(report())
    lines = content.decode().splitlines()
    for each in pain002.parse(content).transfers:
        assert lines[each.line - 1].strip() == "<TxInfAndSts>"
        assert each.end_to_end_id in lines[each.line]


def test_a_rejected_file_needs_no_transfers() -> None:
    rejected = Report("m", AT, "bf_1", "RJCT", "FF01")
    assert pain002.parse(pain002.write(rejected)) == rejected


def test_the_status_of_the_instruction_goes_before_the_message_s() -> None:
    content = pain002.write(report()).replace(
        b"</OrgnlPmtInfId>", b"</OrgnlPmtInfId><PmtInfSts>ACSP</PmtInfSts>"
    )
    assert pain002.parse(content).status == "ACSP"


def test_only_the_rejected_transfers_may_be_listed() -> None:
    content = pain002.write(replace(report(), transfers=report().transfers[1:2]))
    stated = b"""<NbOfTxsPerSts><DtldNbOfTxs>5</DtldNbOfTxs><DtldSts>ACSC</DtldSts></NbOfTxsPerSts>
      <NbOfTxsPerSts>"""
    found = pain002.parse(content.replace(b"<NbOfTxsPerSts>", stated))
    assert [each.status for each in found.transfers] == ["RJCT"]


def test_what_is_written_is_checked() -> None:
    twice = (Transfer("po_1", "ACSC"), Transfer("po_1", "RJCT"))
    for wrong in (
        replace(report(), transfers=twice),
        replace(report(), message_id="x" * 36),
        replace(report(), transfers=(Transfer("po_1", "RJCT", "no code"),)),
    ):
        with pytest.raises(BankFileError):
            pain002.write(wrong)


def test_ten_thousand_transfers() -> None:
    whole = report(10_000)
    assert pain002.parse(pain002.write(whole)) == whole

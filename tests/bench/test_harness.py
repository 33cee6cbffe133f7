"""The harness itself, as far as it needs no rounds: ratios, verdicts, what is taken down."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench import check, kept, posting, render
from bench.rounds import TIMES, Figure, Run, Spread, cpu_ratio, interleave, rate_ratio


def test_ratios_are_taken_within_each_round() -> None:
    busy, idle = Run(100, 2.0, 1.0), Run(100, 1.0, 0.5)
    rounds = {"anchor": [idle, busy], "subject": [busy, busy]}
    assert cpu_ratio(rounds, "subject", "anchor") == Spread(1.5, 1.0, 2.0)
    assert rate_ratio(rounds, "subject", "anchor") == Spread(0.75, 0.5, 1.0)


def test_the_order_is_turned_round() -> None:
    order: list[str] = []

    def work(name: str) -> Run:
        order.append(name)
        return Run(1, 1.0, 1.0)

    interleave(3, {"a": lambda: work("a"), "b": lambda: work("b")})
    assert "".join(order) == "abbaab"


@pytest.mark.parametrize(
    ("value", "anchor", "verdict"),
    [
        (1.0, Spread(1, 1, 1), "target"),
        (2.0, Spread(1, 1, 1.5), "gate"),
        (3.1, None, "BELOW"),
        (1.0, Spread(1, 1, 1.7), "inconclusive"),
    ],
)
def test_verdicts(value: float, anchor: Spread | None, verdict: str) -> None:
    spread = Spread(value, value, value)
    figure = Figure("2", "x", TIMES, spread, "cpu", gate=3, target=1.5, anchor=anchor)
    assert figure.verdict == verdict
    assert verdict in render.line(figure)


def test_what_is_measured_is_what_the_product_sends() -> None:
    load = posting.posting(1000, slow=False)
    lines = load.script.splitlines()
    assert [line for line in lines if line.startswith("INSERT INTO journal")]
    assert lines.index("BEGIN;") < lines.index("COMMIT;")
    assert "set_config('app.merchant', :merchant, true)" in load.script
    assert ":account_8401210" in load.script
    assert "%(" not in load.script


def test_the_table_and_the_notes_are_the_newest_results() -> None:
    text = render.README.read_text()
    assert render.table(kept.newest()) in text
    assert render.notes(kept.newest()) in text


MEASURED = re.compile(r"\d[\d.,]*\s?(?:µs|ms|B|kB|MB|×)(?!\w)|\$\s?\d")  # noqa: RUF001 - the sign
SETTINGS = {"3 ms"}
"""What the harness sets and does not measure."""


def test_no_measured_number_stands_in_the_text_beside_the_table() -> None:
    """It would be of another run than the table, and nobody would see that."""
    text = render.written_by_hand(render.README.read_text())
    assert set(MEASURED.findall(text)) - SETTINGS == set()


def test_a_ratio_that_grew_is_told() -> None:
    before = {figure.number: figure for figure in kept.figures(kept.newest())}
    assert check.slower(list(before.values())) == []
    replay = before["10"]
    grown = replace(replay, value=replay.value.times(1.2), anchor=None)
    assert [line.split()[0] for line in check.slower([grown])] == ["10"]


@pytest.mark.parametrize("slow", [False, True])
def test_every_parameter_of_the_product_has_a_value(slow: bool) -> None:
    for load in (posting.posting(10, slow=slow), posting.batches(slow=slow)):
        assert "%(" not in load.script

from __future__ import annotations

import re

from ivy import errors

EVERY = list(errors.Problem.every())


def test_the_list_is_every_error_of_the_module() -> None:
    defined = {
        thing
        for thing in vars(errors).values()
        if isinstance(thing, type)
        and issubclass(thing, errors.Problem)
        and thing is not errors.Problem
    }
    assert set(EVERY) == defined
    assert len(EVERY) == len(defined)


def test_each_code_is_its_own_and_says_what_it_is() -> None:
    codes = [problem.code for problem in EVERY]
    assert len(set(codes)) == len(codes)
    for problem in EVERY:
        assert re.fullmatch("[a-z]+(_[a-z]+)*", problem.code)
        assert problem.__dict__.get("__doc__", "").strip().endswith(".")
        assert problem.title
        assert not problem.title.endswith(".")


def test_statuses_are_those_of_the_contract() -> None:
    by_status: dict[int, set[str]] = {}
    for problem in EVERY:
        by_status.setdefault(problem.status, set()).add(problem.code)
    assert by_status.keys() <= {400, 401, 402, 403, 404, 409, 413, 415, 422, 429, 500, 503}
    assert {problem.code for problem in EVERY if problem.retryable} == {
        "idempotency_key_in_use",
        "operation_in_progress",
        "clock_advancing",
        "settlement_report_not_ready",
        "report_not_ready",
        "rate_limited",
        "internal_error",
        "unavailable",
    }


def test_a_problem_without_words_says_what_its_documentation_says() -> None:
    plain = errors.Unavailable()
    said = "A part we depend on did not answer in time. Retry with the same Idempotency-Key."
    assert plain.detail == str(plain) == said
    told = errors.Unavailable("Soon.", retry_after_seconds=2)
    assert (told.detail, told.retry_after_seconds) == ("Soon.", 2)

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ivy import ids

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)

moments = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone itself
    max_value=datetime(9999, 12, 31),  # noqa: DTZ001 - same
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14))]),
).filter(lambda at: at >= EPOCH)


def milliseconds(at: datetime) -> int:
    return (at - EPOCH) // MILLISECOND


@given(moments)
@example(datetime(9998, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))  # a float would round this up
@settings(max_examples=200, deadline=None)
def test_an_id_is_a_version_7_uuid_of_its_millisecond(at: datetime) -> None:
    made = ids.new(at)
    assert made.version == 7
    assert made.variant == UUID("019ab2c4-d5e6-7f80-91a2-b3c4d5e6f708").variant
    assert made.int >> 80 == milliseconds(at)


@given(moments, moments)
@settings(max_examples=200, deadline=None)
def test_ids_sort_by_time(one: datetime, other: datetime) -> None:
    if milliseconds(one) < milliseconds(other):
        assert ids.new(one) < ids.new(other)


@given(moments)
@settings(max_examples=200, deadline=None)
def test_first_at_bounds_every_id_of_its_millisecond(at: datetime) -> None:
    first = ids.first_at(at)
    assert first <= ids.new(at) < ids.first_at(at + MILLISECOND)
    assert first > ids.new(at - MILLISECOND) if at >= EPOCH + MILLISECOND else True


def test_ids_do_not_repeat() -> None:
    at = ids.now()
    assert len({ids.new(at) for _ in range(20_000)}) == 20_000


def test_now_is_what_an_id_can_hold() -> None:
    at = ids.now()
    assert at.microsecond % 1000 == 0
    assert at.tzinfo is UTC
    assert ids.new(at).int >> 80 == milliseconds(at)


@given(st.uuids())
@settings(max_examples=100, deadline=None)
def test_a_written_id_reads_back(value: UUID) -> None:
    adapter = TypeAdapter[UUID](ids.ChargeId)
    written = adapter.dump_python(value)
    assert written == f"ch_{value.hex}"
    assert adapter.validate_python(written) == value
    assert adapter.validate_json(f'"{written}"') == value
    assert adapter.validate_python(value) == value


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "ch_",
        "ch",
        "019ab2c4d5e67f8091a2b3c4d5e6f708",
        "re_019ab2c4d5e67f8091a2b3c4d5e6f708",  # another noun's
        "ch_019AB2C4D5E67F8091A2B3C4D5E6F708",
        "ch_019ab2c4-d5e6-7f80-91a2-b3c4d5e6f708",
        "ch_019ab2c4d5e67f8091a2b3c4d5e6f7080",
        "ch_019ab2c4d5e67f8091a2b3c4d5e6f708\n",
        "CH_019ab2c4d5e67f8091a2b3c4d5e6f708",
        "ch_\u0660\u0661\u0662ab2c4d5e67f8091a2b3c4d5e6f708",  # digits, but not ours
        7,
        None,
        b"ch_019ab2c4d5e67f8091a2b3c4d5e6f708",
    ],
)
def test_anything_else_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError, match="must look like ch_"):
        TypeAdapter[UUID](ids.ChargeId).validate_python(wrong)


def test_the_json_schema_is_a_pattern_that_the_example_meets() -> None:
    schema = TypeAdapter[UUID](ids.KeyId).json_schema()
    assert schema["type"] == "string"
    assert schema["pattern"] == "^key_[0-9a-f]{32}$"
    (example_id,) = schema["examples"]
    TypeAdapter[UUID](ids.KeyId).validate_python(example_id)


def test_each_prefix_belongs_to_one_noun() -> None:
    prefixes = [
        annotation.__metadata__[0].prefix
        for name, annotation in vars(ids).items()
        if name.endswith("Id") and hasattr(annotation, "__metadata__")
    ]
    assert len(prefixes) >= 6
    assert len(set(prefixes)) == len(prefixes)

from __future__ import annotations

import pytest

from ivy.recognition import address_allowed


@pytest.mark.parametrize(
    ("address", "networks", "allowed"),
    [
        ("203.0.113.9", (), True),
        ("2001:db8::1", (), True),
        ("203.0.113.9", ("203.0.113.9/32",), True),
        ("203.0.113.8", ("203.0.113.9/32",), False),
        ("203.0.113.8", ("203.0.113.0/29", "2001:db8::/32"), False),
        ("2001:db8:ffff::1", ("203.0.113.0/29", "2001:db8::/32"), True),
        ("2001:DB8::1", ("2001:db8::1/128",), True),
        ("2001:db8::1", ("0.0.0.0/0",), False),
        ("203.0.113.9", ("::/0",), False),
        ("nonsense", ("0.0.0.0/0",), False),
        ("", ("0.0.0.0/0",), False),
        ("nonsense", (), True),
    ],
)
def test_addresses(address: str, networks: tuple[str, ...], allowed: bool) -> None:
    assert address_allowed(address, networks) is allowed

"""The guard: which URLs and which addresses it lets through, and that it asks nobody meanwhile."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ivy import egress
from ivy.egress import RefusedError, check_url, resolve, why_refused
from tests.spying import watched

HOSTILE: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("hostile_urls.json").read_text()
)
PUBLIC = ["93.184.215.14", "2606:4700::1111"]
LEAST_HOSTILE = 60


def refusal(url: str, answers: list[str], *, allow_loopback: bool = False) -> str | None:
    """The rule that stops a URL whose name has these addresses, if one does."""
    try:
        resolve(check_url(url, allow_loopback=allow_loopback), lambda _name: answers)
    except RefusedError as refused:
        return refused.code
    return None


def test_the_corpus_is_large_and_reaches_every_rule() -> None:
    assert len({case["url"] for case in HOSTILE}) == len(HOSTILE) >= LEAST_HOSTILE
    assert {case["code"] for case in HOSTILE} == set(get_args(egress.Code)) - {"dns_failed"}


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: ascii(case["url"][:60]))
def test_hostile_urls_are_refused_without_a_connection(case: dict[str, Any]) -> None:
    with watched() as seen:
        assert refusal(case["url"], case.get("answers", PUBLIC)) == case["code"]
    assert seen.connects == seen.look_ups == []


@pytest.mark.parametrize("case", HOSTILE, ids=lambda case: ascii(case["url"][:60]))
def test_local_test_mode_opens_this_machine_by_http_and_nothing_else(case: dict[str, Any]) -> None:
    answers = case.get("answers", PUBLIC)
    assert refusal(case["url"], answers, allow_loopback=True) == (
        None if case["url"].startswith(("http://localhost", "http://127.0.0.1")) else case["code"]
    )


def test_the_usual_check_lets_much_of_the_corpus_through() -> None:
    """What is refused here is refused by more than ``ipaddress`` knows."""
    let_through = []
    for case in HOSTILE:
        text = case["url"].removeprefix("https://").rstrip("/").strip("[]")
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if not (address.is_private or address.is_loopback or address.is_link_local):
            let_through.append(text)
    assert {"100.64.0.1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1"} <= set(let_through)


@pytest.mark.parametrize(
    ("url", "path", "authority"),
    [
        ("https://example.com", "/", "example.com"),
        ("https://example.com/", "/", "example.com"),
        ("HTTPS://Hooks.EXAMPLE.com/In?a=B", "/In?a=B", "hooks.example.com"),
        ("https://example.com?a=1", "/?a=1", "example.com"),
        ("https://example.com:443/x", "/x", "example.com"),
        ("https://example.com:8443/x", "/x", "example.com:8443"),
        ("https://example.com/%2e%2e/a;b=c/@x:y", "/%2e%2e/a;b=c/@x:y", "example.com"),
        ("https://my_shop.example.com/", "/", "my_shop.example.com"),
        ("https://1and1.example/", "/", "1and1.example"),
        ("https://3.example.com/", "/", "3.example.com"),
        ("https://bücher.example.com/", "/", "xn--bcher-kva.example.com"),
        ("https://BÜCHER.example.com/", "/", "xn--bcher-kva.example.com"),
        ("https://例え.テスト/", "/", "xn--r8jz45g.xn--zckzah"),
        ("https://xn--bcher-kva.example.com/", "/", "xn--bcher-kva.example.com"),
        ("https://localhost.example.com/", "/", "localhost.example.com"),
        ("https://internal.example.com/", "/", "internal.example.com"),
        ("https://8.8.8.8/", "/", "8.8.8.8"),
        ("https://172.32.0.1/", "/", "172.32.0.1"),
        ("https://100.128.0.1/", "/", "100.128.0.1"),
        ("https://[2606:4700::1111]/", "/", "[2606:4700::1111]"),
        ("https://[2606:4700:0:0::1111]:8443", "/", "[2606:4700::1111]:8443"),
    ],
)
def test_public_urls_pass(url: str, path: str, authority: str) -> None:
    target = check_url(url)
    assert (target.scheme, target.path, target.authority) == ("https", path, authority)
    assert target.port == (8443 if authority.endswith(":8443") else 443)
    found = [str(address) for address in resolve(target, lambda _name: PUBLIC)]
    assert found == ([target.host] if target.fixed else PUBLIC)


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://localhost:3000/hook", ["127.0.0.1", "::1"]),
        ("http://127.0.0.1:8000/hook", ["127.0.0.1"]),
        ("http://127.1.2.3/", ["127.1.2.3"]),
        ("http://[::1]:9/", ["::1"]),
    ],
)
def test_loopback_in_local_test_mode(url: str, addresses: list[str]) -> None:
    with pytest.raises(RefusedError):
        check_url(url)
    target = check_url(url, allow_loopback=True)
    assert target.scheme == "http"
    assert [str(address) for address in resolve(target)] == addresses


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "http://169.254.169.254/",
        "http://10.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::]/",
        "http://0.0.0.0/",
        "http://127.1/",
        "http://localhost.localdomain/",
    ],
)
def test_http_leads_nowhere_but_to_this_machine(url: str) -> None:
    with pytest.raises(RefusedError):
        check_url(url, allow_loopback=True)


@pytest.mark.parametrize("answers", [[], ["nonsense"], ["1.2.3"], [""]])
def test_a_name_without_an_address(answers: list[str]) -> None:
    assert refusal("https://example.com/", answers) == "dns_failed"


def test_a_name_that_does_not_exist() -> None:
    def unknown(_name: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    with pytest.raises(RefusedError) as refused:
        resolve(check_url("https://example.com/"), unknown)
    assert refused.value.code == "dns_failed"


def test_an_answer_given_twice_is_one_address() -> None:
    found = resolve(check_url("https://example.com/"), lambda _name: [*PUBLIC, *PUBLIC])
    assert [str(address) for address in found] == PUBLIC


def test_names_are_looked_up_in_full() -> None:
    """With its last dot, a name is never completed by this machine's search domains."""
    with watched() as seen, pytest.raises(OSError):  # noqa: PT011 - whatever the resolver says
        egress.look_up_name("no-such-name.invalid")
    assert seen.look_ups == [b"no-such-name.invalid."]


@given(st.text(max_size=60) | st.text(max_size=40).map("https://{}".format))
@example("https://\ud800/")
@example("https://" + "é" * 2040)
def test_any_text_is_a_target_or_refused(text: str) -> None:
    try:
        target = check_url(text)
    except RefusedError:
        return
    assert target.path.isascii()
    assert target.authority.isascii()
    assert target.port in egress.PORTS


@given(st.integers(0, 2**32 - 1).map(ipaddress.IPv4Address))
def test_nothing_special_passes_as_version_4(address: ipaddress.IPv4Address) -> None:
    special = (
        address.is_private
        or address.is_multicast
        or address.is_reserved
        or address.is_loopback
        or address.is_link_local
    )
    if special:
        assert why_refused(address)


@given(st.integers(0, 2**128 - 1).map(ipaddress.IPv6Address))
def test_nothing_special_passes_as_version_6(address: ipaddress.IPv6Address) -> None:
    special = (
        not address.is_global
        or address.is_multicast
        or address.ipv4_mapped
        or address.sixtofour
        or address.teredo
    )
    if special:
        assert why_refused(address)


@given(st.integers(0, 2**32 - 1))
def test_a_wrapped_address_is_refused_whatever_it_wraps(wrapped: int) -> None:
    for prefix in ("::", "::ffff:0:0", "64:ff9b::"):
        address = ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + wrapped)
        assert why_refused(address), address
    assert why_refused(ipaddress.IPv6Address((0x2002 << 112) + (wrapped << 80)))

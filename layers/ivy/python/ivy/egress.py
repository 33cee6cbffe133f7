"""Where Ivy may send to on a merchant's word: the public internet, and nothing beside it.

Two checks, at two times. ``check_url`` reads a URL by rules so narrow that no second reading of it
exists; nothing is looked up. ``resolve`` looks the name up when something is about to be sent, and
gives addresses back only if every one of them is allowed. Whoever sends connects to one of those
and looks nothing up again: a name that changes its mind between check and connection gains nothing.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Literal

Address = IPv4Address | IPv6Address
LookUp = Callable[[str], list[str]]
"""Returns every address of a name, as text; raises OSError where there is none."""

MAX_URL = 2048
MAX_NAME = 253
PORTS = frozenset({443, 8443})
_DEFAULT_PORTS = {"https": 443, "http": 80}
_MAX_PORT = 65535

Code = Literal[
    "url_too_long",
    "url_malformed",
    "url_scheme",
    "url_userinfo",
    "url_port",
    "url_host",
    "address_refused",
    "dns_failed",
]


class RefusedError(Exception):
    """Nothing is sent there.

    Attributes:
        code: Which rule says so; stable.
    """

    def __init__(self, code: Code, rule: str) -> None:
        super().__init__(rule)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that passed, taken apart.

    Attributes:
        host: A name in ASCII and lower case, or an address as text.
        path: With the query; begins with a slash.
        fixed: The addresses of a host that needs no look-up.
    """

    scheme: Literal["https", "http"]
    host: str
    port: int
    path: str
    fixed: tuple[Address, ...] = ()

    @property
    def authority(self) -> str:
        """What the ``Host`` header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def check_url(url: str, *, allow_loopback: bool = False) -> Target:
    """Return a URL as what is to be connected to; no name is looked up.

    Args:
        url: What somebody wrote.
        allow_loopback: Whether plain http to this machine is allowed, as in local test mode.

    Raises:
        RefusedError: It breaks a rule; the message says which, fit for whoever wrote the URL.
    """
    if len(url) > MAX_URL:
        raise RefusedError("url_too_long", f"Must have at most {MAX_URL} characters.")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise RefusedError(
            "url_malformed",
            "Must be like https://example.com/path: no spaces, no fragment, and everything but "
            "letters, digits and punctuation percent-encoded.",
        )
    scheme, authority = parts["scheme"].lower(), parts["authority"]
    if scheme not in _DEFAULT_PORTS or (scheme == "http" and not allow_loopback):
        raise RefusedError("url_scheme", "Must begin with https://.")
    if "@" in authority:
        raise RefusedError("url_userinfo", "Must not contain a user name or a password.")
    host, colon, port = _split(authority)
    name, literal = _read_host(host)
    path = _path(parts["rest"])
    if scheme == "http":
        return Target("http", name, _port(port, colon, 80), path, _loopback(name, literal))
    _require_public_host(name, literal)
    chosen = _port(port, colon, 443)
    if chosen not in PORTS:
        raise RefusedError("url_port", "Must use port 443 or 8443.")
    return Target("https", name, chosen, path, () if literal is None else (literal,))


def resolve(target: Target, look_up: LookUp | None = None) -> list[Address]:
    """Return the addresses of a target, all of them allowed; the best first.

    Args:
        target: What ``check_url`` returned.
        look_up: Asks for the addresses of a name; the system's resolver if left out.

    Raises:
        RefusedError: There is no address, or one of them is not allowed.
    """
    if target.fixed:
        return list(target.fixed)
    try:
        found = (look_up or look_up_name)(target.host)
        addresses = list(dict.fromkeys(ip_address(each) for each in found))
    except (OSError, ValueError) as error:
        raise RefusedError("dns_failed", "The name has no address.") from error
    if not addresses:
        raise RefusedError("dns_failed", "The name has no address.")
    for address in addresses:
        _require_public(address)
    return addresses


def look_up_name(name: str) -> list[str]:
    """Return every address that the system's resolver knows of a name; raises OSError if none.

    The name is asked for as it is, not first completed by the search domains of this machine.
    """
    found = socket.getaddrinfo(f"{name}.".encode("ascii"), None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


def why_refused(address: Address) -> str | None:
    """Return why nothing is sent to an address, or None where it is public."""
    for network, reason in _REFUSED:
        if address in network:
            return reason
    if isinstance(address, IPv6Address) and (address.scope_id or address not in _GLOBAL_UNICAST):
        return "not global unicast"
    return None if address.is_global else "not global"


def _require_public(address: Address) -> None:
    if reason := why_refused(address):
        raise RefusedError("address_refused", f"Must lead to a public address: this is {reason}.")


def _split(authority: str) -> tuple[str, str, str]:
    """Return host, colon and port; an address of version 6 keeps its brackets."""
    if authority.startswith("["):
        inside, closed, after = authority.partition("]")
        if not closed or (after and not after.startswith(":")):
            raise _bad_host()
        return inside + closed, after[:1], after[1:]
    return authority.partition(":")


def _port(text: str, colon: str, default: int) -> int:
    if not colon:
        return default
    if not _PORT.fullmatch(text) or int(text) > _MAX_PORT:
        raise RefusedError("url_port", "Must have no port, or a number after the colon.")
    return int(text)


def _path(rest: str | None) -> str:
    rest = rest or "/"
    return rest if rest.startswith("/") else f"/{rest}"


def _read_host(host: str) -> tuple[str, Address | None]:
    """Return a host in its one spelling, and as an address if it is one.

    An address is read in its usual form only: no octal, no hexadecimal, nothing left out.
    """
    try:
        if host.startswith("["):
            literal: Address = IPv6Address(host[1:-1])
        else:
            host = _ascii(host)
            if not _NUMBER.fullmatch(host.rpartition(".")[2]):
                return host, None
            literal = IPv4Address(host)
    except ValueError:
        raise _bad_host() from None
    return str(literal), literal


def _ascii(host: str) -> str:
    """Return a name as the domain name system spells it; raises ValueError where it cannot."""
    if host.isascii():
        return host.lower()
    import idna  # noqa: PLC0415 - large tables, for the few names that need them

    return idna.encode(host[: MAX_NAME + 1].lower()).decode("ascii")


def _loopback(name: str, literal: Address | None) -> tuple[Address, ...]:
    """Return the addresses of a host that is this machine."""
    if name == "localhost":
        return IPv4Address("127.0.0.1"), IPv6Address("::1")
    if literal is None or literal not in _LOOPBACK[literal.version]:
        raise RefusedError("url_scheme", "Must begin with https:// unless it leads to localhost.")
    return (literal,)


def _require_public_host(name: str, literal: Address | None) -> None:
    """Refuse an address that is not public, and a name that cannot be."""
    if literal is not None:
        _require_public(literal)
        return
    if f".{name}".endswith(_LOCAL_SUFFIXES):
        raise RefusedError("address_refused", "Must lead to a public address: this name is local.")
    labels = name.split(".")
    if len(name) > MAX_NAME or len(labels) == 1 or not all(map(_LABEL.fullmatch, labels)):
        raise _bad_host()


def _bad_host() -> RefusedError:
    return RefusedError(
        "url_host", "Must name a host such as example.com, in full and without a dot at the end."
    )


# What RFC 3986 allows, and letters of any script in the host. A percent sign in the host would be a
# second spelling of it.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]*)://"
    r"(?P<authority>(?:[A-Za-z0-9._~!$&'()*+,;=:@\[\]\-]|[^\x00-\x9f])*)"
    r"(?P<rest>[/?][A-Za-z0-9._~!$&'()*+,;=:@/?%\[\]\-]*)?"
)
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
"""The last part of a name that somebody's resolver would read as an address."""

_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?")
_LOCAL_SUFFIXES = (
    *(".localhost", ".localdomain", ".local", ".internal", ".intranet", ".private"),
    *(".lan", ".home", ".corp", ".home.arpa", ".onion"),
)
"""Names that only private networks know; ``metadata.google.internal`` is one of them."""

_LOOPBACK = {4: ip_network("127.0.0.0/8"), 6: ip_network("::1/128")}
_GLOBAL_UNICAST = ip_network("2000::/3")

# Written out, because what ``ipaddress`` calls global differs between versions of Python and lets
# through what only looks public. Every form that wraps an IPv4 address is refused as a whole.
_REFUSED = tuple(
    (ip_network(network), reason)
    for network, reason in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by providers, and metadata of Alibaba Cloud"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "metadata of Azure"),
        ("169.254.0.0/16", "link-local, and metadata of most clouds"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments, and metadata of Oracle Cloud"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "multicast tunnels"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved, and broadcast"),
        ("::/96", "unspecified, loopback, or an IPv4-compatible address"),
        ("::ffff:0:0/96", "an IPv4-mapped address"),
        ("::ffff:0:0:0/96", "an IPv4-translated address"),
        ("64:ff9b::/96", "NAT64"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discarded"),
        ("100:0:0:1::/64", "a dummy"),
        ("2001::/23", "protocol assignments: Teredo, ORCHID, benchmarks"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private, and metadata of AWS"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

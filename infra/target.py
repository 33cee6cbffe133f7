"""The two places Ivy is deployed to, and what differs between them."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass, replace

from ivy.needs import Need
from ivy.serve.declaration import CONSUMER_CONCURRENCY

DEFAULT_PREFIX = "ivy"
AWS_PYTHON = "3.13"
AWS_PLATFORM = "aarch64-manylinux_2_28"
"""Amazon Linux 2023 has glibc 2.34; no wheel asks for more than 2.28."""

LOCAL_CONCURRENCY = 8
"""Each environment is a process here that takes a second of a core to start."""

ARM = frozenset({"arm64", "aarch64"})


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a deployment goes.

    Attributes:
        name: ``local`` (an emulator on this machine) or ``aws``.
        prefix: First part of every physical name, so that several deployments share an account.
        proxy: Whether functions reach Aurora through RDS Proxy; AWS only.
        stripe: Whether charges may go to Stripe: its connector, with its secret and its layer.
        python: Minor version of Python that runs the functions.
        architecture: ``x86_64`` or ``arm64``, as Lambda spells it.
        platform: uv's name of the platform to install wheels for; None for this machine.
        max_concurrency: Environments of one consumer at most.
    """

    name: str
    prefix: str = DEFAULT_PREFIX
    proxy: bool = False
    stripe: bool = False
    python: str
    architecture: str
    platform: str | None
    max_concurrency: int

    @property
    def on_aws(self) -> bool:
        """Whether this is the real thing."""
        return self.name == "aws"

    @property
    def switched_off(self) -> frozenset[Need]:
        """The needs that nothing here provides; what declares one of them is not deployed."""
        return frozenset() if self.stripe else frozenset({Need.STRIPE})


def target_named(
    name: str, *, prefix: str = DEFAULT_PREFIX, proxy: bool = False, stripe: bool = False
) -> Target:
    """Return a target by its name.

    Raises:
        ValueError: there is no such target.
    """
    if name == "aws":
        target = Target(
            name=name,
            python=AWS_PYTHON,
            architecture="arm64",
            platform=AWS_PLATFORM,
            proxy=proxy,
            max_concurrency=CONSUMER_CONCURRENCY,
        )
    elif name == "local":
        target = Target(
            name=name,
            python=f"{sys.version_info.major}.{sys.version_info.minor}",
            architecture="arm64" if platform.machine().lower() in ARM else "x86_64",
            platform=None,
            max_concurrency=LOCAL_CONCURRENCY,
        )
    else:
        raise ValueError(f"target must be local or aws, not {name!r}")
    return replace(target, prefix=prefix, stripe=stripe)

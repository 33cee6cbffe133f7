"""The page about connectors names every test token."""

from __future__ import annotations

import re
from pathlib import Path

from ivy.connectors.tokens import TEST_TOKENS

PAGE = Path(__file__).parents[2] / "docs" / "connectors.md"


def test_every_token_is_in_the_table() -> None:
    rows = re.findall(
        r"^\| `(tok_\w+)` \| (.+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )
    assert dict(rows) == dict(TEST_TOKENS)

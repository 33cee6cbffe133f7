"""What a command says when it fails as expected."""

from __future__ import annotations

import sys

import typer


class explained:  # noqa: N801 - reads as a statement
    """Turns an expected failure into its message, its fix and its exit status."""

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from local.errors import LocalError  # noqa: PLC0415 - each command loads what it needs
        from local.home import typed  # noqa: PLC0415 - same

        if isinstance(error, LocalError):
            print(f"\n{error}", file=sys.stderr)  # noqa: T201 - a command's answer
            if error.fix:
                print(f"→ {typed(error.fix)}", file=sys.stderr)  # noqa: T201 - same
            raise typer.Exit(error.status) from error

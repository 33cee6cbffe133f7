"""``ivy files``: what lies in the stack's bucket of documents, such as files for and from banks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from local.aws import Aws
from local.errors import UsageError

if TYPE_CHECKING:
    from local.home import Home


class Files:
    """The documents of a stack whose emulator is at an address."""

    def __init__(self, aws: Aws) -> None:
        self._s3 = aws.client("s3")
        (self._bucket,) = (
            each["Name"]
            for each in self._s3.list_buckets()["Buckets"]
            if "documents" in each["Name"]
        )

    @classmethod
    def of(cls, home: Home) -> Files:
        """Return those of a running stack.

        Raises:
            LocalError: It does not run.
        """
        return cls(Aws(home.running()["emulator"]))

    def table(self, prefix: str) -> str:
        """Return a line for each: when it was written, its size in bytes, its key.

        Raises:
            UsageError: Nothing is there.
        """
        found = self._found(prefix)
        if not found and prefix:
            raise _nothing(prefix)
        return "\n".join(
            f"{each['LastModified']:%Y-%m-%d %H:%M:%S}  {each['Size']:>8}  {each['Key']}"
            for each in found
        )

    def newest(self, prefix: str) -> str:
        """Return the content of what was written last.

        Raises:
            UsageError: Nothing is there.
        """
        found = self._found(prefix)
        if not found:
            raise _nothing(prefix)
        key = found[-1]["Key"]
        content: bytes = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
        return content.decode("utf-8", errors="replace")

    def _found(self, prefix: str) -> list[dict[str, Any]]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=prefix
        )
        found = [each for page in pages for each in page.get("Contents", ())]
        return sorted(found, key=lambda each: (each["LastModified"], each["Key"]))


def _nothing(prefix: str) -> UsageError:
    return UsageError(f"There is no file under {prefix!r}.", "List them all: `ivy files`.")

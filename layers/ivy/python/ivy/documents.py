"""Documents: files in one bucket, each function with rights to its own prefixes.

A key that is put twice holds what was put last; what was there before is kept as a version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ivy.aws import client
from ivy.settings import settings

PAGE = 1_000
"""What one listing answers at most."""

MAX_PAGES = 50


@dataclass(frozen=True, slots=True)
class Document:
    """A file as a listing shows it.

    Attributes:
        etag: Changes when the content does.
    """

    key: str
    size: int
    etag: str

    @property
    def name(self) -> str:
        """What comes after the last slash."""
        return self.key.rpartition("/")[2]


def found(prefix: str, *, limit: int, after: str = "") -> list[Document]:
    """Return documents whose key begins with a prefix, in the order of keys, after one of them."""
    answer = client("s3").list_objects_v2(
        Bucket=_bucket(), Prefix=prefix, StartAfter=after, MaxKeys=limit
    )
    return [
        Document(each["Key"], each["Size"], each["ETag"]) for each in answer.get("Contents", ())
    ]


def every(prefix: str, *, after: str = "") -> Iterator[Document]:
    """Yield documents as ``found`` does, page by page."""
    for _ in range(MAX_PAGES):
        page = found(prefix, limit=PAGE, after=after)
        yield from page
        if len(page) < PAGE:
            return
        after = page[-1].key


def read(key: str) -> bytes:
    """Return a document's content, which its listing has said is not too long."""
    content: bytes = client("s3").get_object(Bucket=_bucket(), Key=key)["Body"].read()
    return content


def put(key: str, content: bytes) -> None:
    """Write a document."""
    client("s3").put_object(Bucket=_bucket(), Key=key, Body=content)


def put_once(key: str, content: bytes) -> None:
    """Write a document unless it is there: whoever waits for new ones sees it appear once."""
    s3 = client("s3")
    try:
        s3.put_object(Bucket=_bucket(), Key=key, Body=content, IfNoneMatch="*")
    except s3.exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != "PreconditionFailed":
            raise


def move(document: Document, key: str) -> None:
    """Give a document another key, unless it has changed meanwhile.

    Dying in between leaves it at both; moving it again ends that.
    """
    client("s3").copy_object(
        Bucket=_bucket(),
        Key=key,
        CopySource={"Bucket": _bucket(), "Key": document.key},
        CopySourceIfMatch=document.etag,
    )
    remove(document.key)


def remove(key: str) -> None:
    """Remove a document; its versions stay."""
    client("s3").delete_object(Bucket=_bucket(), Key=key)


def _bucket() -> str:
    name: str = settings().required("documents_bucket")
    return name

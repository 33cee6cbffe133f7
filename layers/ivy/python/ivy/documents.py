"""Documents: files in one bucket, each function with rights to its own prefixes.

A key that is put twice holds what was put last; what was there before is kept as a version.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ivy import models
from ivy.aws import client
from ivy.settings import settings

PAGE = 1_000
"""What one listing answers at most."""

MAX_PAGES = 50

MAX_ANSWER_BYTES = 4_000_000
"""What a function answers by itself: Lambda takes 6 MB, in which each line end and quote is two."""

LINK_SECONDS = 300
"""How long whoever has the address of a larger one can fetch it."""


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


class GoneError(RuntimeError):
    """Somebody has removed the document, or moved it away."""


def read(key: str) -> bytes:
    """Return a document's content, which its listing has said is not too long.

    Raises:
        GoneError: It is not there any more.
    """
    s3 = client("s3")
    try:
        content: bytes = s3.get_object(Bucket=_bucket(), Key=key)["Body"].read()
    except s3.exceptions.NoSuchKey as error:
        raise GoneError(key) from error
    return content


def serve(key: str, *, name: str, media_type: str) -> models.Document | models.Elsewhere:
    """Return a document as an answer, to be saved under a name; or, if large, where it is.

    The function needs the right to read it in either case: it signs the address.
    """
    found = client("s3").get_object(Bucket=_bucket(), Key=key)
    with found["Body"] as body:
        if found["ContentLength"] <= MAX_ANSWER_BYTES:
            return models.Document(body.read(), media_type, name)
    url: str = client("s3").generate_presigned_url(
        "get_object",
        Params={
            "Bucket": _bucket(),
            "Key": key,
            "ResponseContentType": media_type,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        },
        ExpiresIn=LINK_SECONDS,
    )
    return models.Elsewhere(url)


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
    """Give a document another key, unless it has changed meanwhile, or somebody else has.

    Dying in between leaves it at both; moving it again ends that.
    """
    s3 = client("s3")
    try:
        s3.copy_object(
            Bucket=_bucket(),
            Key=key,
            CopySource={"Bucket": _bucket(), "Key": document.key},
            CopySourceIfMatch=document.etag,
        )
    except s3.exceptions.NoSuchKey:
        return
    remove(document.key)


def remove(key: str) -> None:
    """Remove a document; its versions stay."""
    client("s3").delete_object(Bucket=_bucket(), Key=key)


def _bucket() -> str:
    name: str = settings().required("documents_bucket")
    return name

"""ISO 20022 messages as classes that are not ours, made from the schemas of the standard.

A message is read into them strictly, and what they write again has the order of the schema.
Lengths, patterns and digits are part of the classes, and are checked here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from decimal import Decimal
from importlib import import_module
from typing import Any
from xml.etree.ElementTree import canonicalize

from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig
from xsdata.formats.dataclass.serializers import XmlSerializer

STRICT = ParserConfig(
    fail_on_unknown_properties=True,
    fail_on_unknown_attributes=True,
    fail_on_converter_warnings=True,
)


def complaints(content: bytes, message: str) -> list[str]:
    """Return what a schema would not accept; raises where the classes cannot hold the message."""
    name = message.replace(".", "_")
    document = import_module(f"pyiso20022.{message[:4]}.{name}").Document
    read = XmlParser(config=STRICT).from_bytes(content, document)
    again = XmlSerializer().render(read, ns_map={None: f"urn:iso:std:iso:20022:tech:xsd:{message}"})
    found = list(facets(read, "Document"))
    if canonicalize(again, strip_text=True) != canonicalize(content.decode(), strip_text=True):
        found.append("elements are not in the order of the schema")
    return found


def facets(value: Any, path: str) -> Iterator[str]:
    """Walk through a message; return each place that is missing, too long or of another form."""
    for each in fields(value):
        inside = getattr(value, each.name)
        items = inside if isinstance(inside, list) else [inside]
        if not items and each.metadata.get("min_occurs", 0):
            yield f"{path}/{each.name} is missing"
        for item in items:
            if item is None:
                if each.metadata.get("required"):
                    yield f"{path}/{each.name} is missing"
            elif is_dataclass(item):
                yield from facets(item, f"{path}/{each.name}")
            else:
                yield from facet(item, dict(each.metadata), f"{path}/{each.name}")


def facet(item: Any, metadata: dict[str, Any], path: str) -> Iterator[str]:
    text = str(item)
    if not metadata.get("min_length", 0) <= len(text) <= metadata.get("max_length", len(text)):
        yield f"{path} has the wrong length"
    if "pattern" in metadata and not re.fullmatch(metadata["pattern"], text):
        yield f"{path} has the wrong form"
    if isinstance(item, Decimal):
        sign, digits, exponent = item.as_tuple()
        if sign and "min_inclusive" in metadata:
            yield f"{path} is negative"
        if len(digits) > metadata.get("total_digits", len(digits)):
            yield f"{path} has too many digits"
        if -int(exponent) > metadata.get("fraction_digits", 99):
            yield f"{path} has too many decimals"

"""XML as banks exchange it: read without trust, written with an element on each line.

The parser is the standard library's, and told to stop at whatever makes XML dangerous: a document
type, and with it every entity of one's own and every file or address elsewhere. What it may cost is
bounded before it begins and while it runs. All of a message is given to it at once, so that a very
long token costs no more than its length.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from xml.parsers import expat

from ivy.bank_files import MAX_FILE_BYTES, BankFileError, bounded

MAX_ELEMENTS = 1_000_000
MAX_DEPTH = 32
MAX_PIECE_BYTES = 10_000
"""From one < to the next: a tag with its attributes, and the text after it."""

_PIECE = re.compile(rb"<[^<]*")
_NONE: Mapping[str, str] = {}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


@dataclass(slots=True)
class Node:
    """One element: its name without the namespace, and the line it begins on."""

    name: str
    line: int
    attributes: Mapping[str, str]
    text: str = ""
    children: list[Node] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Node]:
        """Return the children of a name, in order."""
        return (child for child in self.children if child.name == name)

    def optional(self, *path: str) -> Node | None:
        """Return what a path leads to, or None; refuse a step of which there are several."""
        node = self
        for name in path:
            found = list(node.all(name))
            if len(found) > 1:
                raise BankFileError(found[1].line, f"a second {name} in {node.name}")
            if not found:
                return None
            node = found[0]
        return node

    def one(self, *path: str) -> Node:
        """Return what a path leads to; refuse a message without it."""
        found = self.optional(*path)
        if found is None:
            raise BankFileError(self.line, f"{self.name} without {'/'.join(path)}")
        return found

    def value(self, *path: str) -> str:
        """Return the text that a path leads to; refuse a message without it."""
        found = self.one(*path)
        if not found.text:
            raise BankFileError(found.line, f"{found.name} is empty")
        return found.text

    def optional_value(self, *path: str) -> str | None:
        """Return the text that a path leads to, or None."""
        return None if self.optional(*path) is None else self.value(*path)


def read(content: bytes, message: str) -> Node:
    """Return the one element in the ``Document`` of a message, such as ``camt.053.001.08``.

    Raises:
        BankFileError: It is no well-formed UTF-8 XML, another message, or too large.
    """
    _check_size(content)
    builder = _Builder(f"urn:iso:std:iso:20022:tech:xsd:{message}")
    try:
        builder.parser.Parse(content, True)  # noqa: FBT003 - expat takes it by position
    except expat.ExpatError as error:
        raise BankFileError(error.lineno, f"not well-formed XML: {expat.ErrorString(error.code)}")  # noqa: B904 - expat's own error repeats this
    root = builder.root
    if root is None or root.name != "Document" or len(root.children) != 1:
        raise BankFileError(1, f"not a Document with one message, which {message} is")
    return root.children[0]


def write(message: str, content: ET.Element) -> bytes:
    """Return a message as the same bytes for the same content."""
    document = ET.Element("Document", {"xmlns": f"urn:iso:std:iso:20022:tech:xsd:{message}"})
    document.append(content)
    ET.indent(document)
    body = ET.tostring(document, encoding="unicode", short_empty_elements=False)
    return bounded(f'<?xml version="1.0" encoding="UTF-8"?>\n{body}\n'.encode())


def put(parent: ET.Element, path: str, text: str | None = None, **attributes: str) -> ET.Element:
    """Add an element, inside new ones where the path has several steps; return the last."""
    for name in path.split("/"):
        parent = ET.SubElement(parent, name)
    parent.attrib.update(attributes)
    parent.text = text
    return parent


def _check_size(content: bytes) -> None:
    if len(content) > MAX_FILE_BYTES:
        raise BankFileError(None, f"longer than {MAX_FILE_BYTES} bytes")
    if content.count(b"<") > 2 * MAX_ELEMENTS:
        raise BankFileError(None, f"more than {MAX_ELEMENTS} elements")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BankFileError(content.count(b"\n", 0, error.start) + 1, "not UTF-8") from None
    for piece in _PIECE.finditer(content):
        if len(piece[0]) > MAX_PIECE_BYTES:
            line = content.count(b"\n", 0, piece.start()) + 1
            raise BankFileError(line, f"more than {MAX_PIECE_BYTES} bytes without an element")


class _Builder:
    """Builds the tree while expat reads, and refuses as soon as there is a reason to."""

    def __init__(self, namespace: str) -> None:
        self.root: Node | None = None
        self._prefix = f"{namespace} "
        self._namespace = namespace
        self._open: list[Node] = []
        self._elements = 0
        # Given here, the encoding is what is read, whatever the file declares or looks like.
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = True
        self.parser.XmlDeclHandler = self._declaration
        self.parser.StartDoctypeDeclHandler = self._doctype
        self.parser.ProcessingInstructionHandler = self._instruction
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text

    def _line(self) -> int:
        return self.parser.CurrentLineNumber

    def _declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if encoding is not None and encoding.lower() not in {"utf-8", "us-ascii"}:
            raise BankFileError(self._line(), "declares another encoding than UTF-8")

    def _doctype(self, *_: object) -> None:
        raise BankFileError(self._line(), "has a document type, and with it possibly entities")

    def _instruction(self, *_: object) -> None:
        raise BankFileError(self._line(), "has a processing instruction")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > MAX_ELEMENTS:
            raise BankFileError(self._line(), f"more than {MAX_ELEMENTS} elements")
        if len(self._open) == MAX_DEPTH:
            raise BankFileError(self._line(), f"elements nested deeper than {MAX_DEPTH}")
        if not self._open and not name.startswith(self._prefix):
            raise BankFileError(self._line(), f"not of the namespace {self._namespace}")
        kept = {key: text for key, text in attributes.items() if not key.startswith(_XSI)}
        node = Node(sys.intern(name.removeprefix(self._prefix)), self._line(), kept or _NONE)
        if self._open:
            parent = self._open[-1]
            self._require_blank(parent, parent.text)
            parent.text = ""
            parent.children.append(node)
        else:
            self.root = node
        self._open.append(node)

    def _end(self, _name: str) -> None:
        node = self._open.pop()
        node.text = node.text.strip()

    def _text(self, text: str) -> None:
        if not self._open:
            return
        node = self._open[-1]
        if node.children:
            self._require_blank(node, text)
            return
        # A text may come in many parts, and each is copied when the next one comes.
        node.text += text
        if len(node.text) > MAX_PIECE_BYTES:
            raise BankFileError(node.line, f"a text of more than {MAX_PIECE_BYTES} characters")

    def _require_blank(self, node: Node, text: str) -> None:
        if text.strip():
            raise BankFileError(self._line(), f"{node.name} has text beside its elements")

#!/usr/bin/env python3
"""Verifies Sealgate evidence from bytes and a public key alone. Written from FORMAT.md, not from the Rust.

    verify.py EVIDENCE_DIR --key KEY [--json]     EVIDENCE_DIR/GATEWAY/WINDOW/..., or one ledger's folder
    verify.py --vectors schema/vectors            checks this program against the published vectors

KEY is a vkey (`NAME+HASH+KEY`) or the path of a file that holds one. Exit: 0 L0, L1 and L2 hold for every ledger found,
1 something does not hold, 2 nothing was found to check, 3 wrong usage.

What it relies on: pyarrow decodes the cells, cbor2 encodes, hashlib and cryptography do what they are named for. Footers,
page headers and statistics are read here, byte by byte, and not asked of pyarrow.
What it does not claim: L3 to L5 (FORMAT.md §8); that an open ledger holds its latest records; that encodings and page sizes
are those that the writer would choose; anything about time beyond what is recorded.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
import unicodedata
from collections import Counter
from pathlib import Path

import cbor2
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

LEVELS = {
    "L0": "bytes and signatures",
    "L1": "structure and statistics",
    "L2": "record hashes, chain, tree",
    "L3": "windows log",
    "L4": "witnesses and timestamps",
    "L5": "completeness",
}
NOTE_NAME = "ledger.note"
CREATED_BY = b"sealgate version 1"
NOTE_BYTES_MAX = 16 << 20
SIGNATURES_MAX = 64
FILE_BYTES_MAX = 2 << 30
FOOTER_BYTES_MAX = 64 << 20
ROW_GROUP_ROWS_MAX = 8192
FOREIGN_ROWS_MAX = 1 << 20
ROW_GROUP_BYTES_MAX = 256 << 20
CHUNK_VALUES_MAX = 1 << 24
FINDINGS_MAX = 64
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", re.ASCII)
KIND = re.compile(r"[a-z][a-z0-9_]{0,31}\Z", re.ASCII)
HEX_32 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
ZERO = bytes(32)


class Bad(Exception):
    """Bytes that are not what their place asks for."""


# What following a Thrift structure raises where a field is missing, of another type or out of range.
MALFORMED = (Bad, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def sha256(*pieces):
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


# ---- FORMAT.md §3 and §6: the columns, as Arrow types and as the elements of a Parquet schema ------------------------

REQUIRED, OPTIONAL, REPEATED = 0, 1, 2
STRING = {1: 6, 6: 0, 10: {1: {}}}
UINT64 = {1: 2, 6: 14, 10: {10: {1: 64, 2: False}}}
UINT16 = {1: 1, 6: 12, 10: {10: {1: 16, 2: False}}}
MICROS = {1: 2, 6: 10, 10: {8: {1: True, 2: {2: {}}}}}
BINARY = {1: 6}


def fixed(width):
    return {1: 7, 2: width}


class Column:
    """One column of a table: its Arrow type, its schema elements, its leaves (path, element)."""

    def __init__(self, name, arrow, leaf=None, nullable=True, pair=None):
        self.name, self.arrow, self.nullable, self.pair = name, arrow, nullable, pair
        self.listed = pa.types.is_list(arrow)
        repetition = OPTIONAL if nullable else REQUIRED
        if not self.listed:
            self.elements = [{3: repetition, 4: name.encode(), **leaf}]
            self.leaves = [((name,), leaf)]
            return
        group = {3: repetition, 4: name.encode(), 5: 1, 6: 3, 10: {3: {}}}
        self.elements = [group, {3: REPEATED, 4: b"list", 5: 1}]
        if pair is None:
            self.elements.append({3: REQUIRED, 4: b"element", **leaf})
            self.leaves = [((name, "list", "element"), leaf)]
            return
        self.elements.append({3: REQUIRED, 4: b"element", 5: 2})
        self.elements += [{3: REQUIRED, 4: key.encode(), **of} for key, of in pair]
        self.leaves = [((name, "list", "element", key), of) for key, of in pair]


def text(name, nullable=True):
    return Column(name, pa.string(), STRING, nullable)


def number(name, nullable=True):
    return Column(name, pa.uint64(), UINT64, nullable)


def binary(name, width, nullable=True):
    return Column(name, pa.binary(width), fixed(width), nullable)


def texts(name):
    return Column(name, pa.list_(pa.field("element", pa.string(), False)), STRING, False)


def pairs(name, first, second, width=None, nullable=False):
    value = (pa.string(), STRING) if width is None else (pa.binary(width), fixed(width))
    struct = pa.struct([pa.field(first, pa.string(), False), pa.field(second, value[0], False)])
    return Column(name, pa.list_(pa.field("element", struct, False)), None, nullable, [(first, STRING), (second, value[1])])


RECORDS = [
    text("gateway", False), text("change_window", False), number("seq", False),
    Column("time", pa.timestamp("us", tz="UTC"), MICROS, False), text("kind", False), number("call"),
    text("session"), text("principal"), text("principal_kind"), text("acting_for"), text("attribution"),
    text("credential"), texts("credential_chain"), text("client_addr"), text("user_agent"), text("provider"),
    text("account"), text("region"), text("service"), text("operation"), text("access"), texts("resources"),
    text("method"), text("host"), text("path"), text("decision"), texts("rules"),
    Column("status", pa.uint16(), UINT16), text("error_code"), text("upstream_request_id"), number("duration_us"),
    number("request_bytes"), number("response_bytes"), text("detail"), binary("payload_hash", 32),
    binary("hash", 32, False),
]  # fmt: skip
PAYLOADS = [
    text("gateway", False), text("change_window", False), number("seq", False), binary("row_salt", 16),
    pairs("salts", "field", "salt", 32), text("query"), pairs("headers", "name", "value", nullable=True),
    Column("body", pa.binary(), BINARY), number("body_bytes"), binary("body_sha256", 32), text("body_capture"),
    text("parameters"), text("proof"), pairs("erased", "field", "commitment", 32),
]  # fmt: skip
TABLES = {"records": RECORDS, "payloads": PAYLOADS}
PREIMAGE = [column.name for column in RECORDS if column.name not in ("gateway", "change_window", "hash")]
FIELDS = ["query", "headers", "body", "body_bytes", "body_sha256", "body_capture", "parameters", "proof"]
CAPTURES = {"full", "truncated", "redacted", "omitted", "streamed"}
ZSTD, ENCODINGS = 6, {0, 5, 6, 7, 8}
WITHOUT_STATISTICS = {("body",), ("headers", "list", "element", "value"), ("parameters",)}


# ---- FORMAT.md §2 to §5: hashes ----------------------------------------------------------------------------------


def cbor(value):
    return cbor2.dumps(value, canonical=True)


def preimage(gateway, window, previous, row):
    return cbor(["sealgate/record/v1", gateway, window, previous, *(row[name] for name in PREIMAGE)])


def salt_of(row, field):
    if row["row_salt"] is not None:
        return sha256(b"sealgate/salt/v1\0", row["row_salt"], field.encode())
    return dict(row["salts"]).get(field)


def field_commitment(row, field):
    erased = dict(row["erased"])
    if field in erased:
        return erased[field]
    if row[field] is None:
        return ZERO
    salt = salt_of(row, field)
    # A value without a salt can't be committed to: this matches no record.
    return sha256(b"sealgate/field/v1\0", salt, cbor(row[field])) if salt else sha256(b"sealgate/field/v1\0")


def commitment(row):
    return sha256(b"sealgate/payload/v1\0", *(field_commitment(row, field) for field in FIELDS))


def payload_fault(row):
    """What is wrong with the salts and erasures of a payload row, or None."""
    salted, erased = [name for name, _ in row["salts"]], [name for name, _ in row["erased"]]
    for names in (salted, erased):
        if names != [field for field in FIELDS if field in names]:
            return "`salts` or `erased` name a field twice, out of order, or one that there is not"
    if row["row_salt"] is not None and (salted or erased):
        return "the row's salt is still there beside `salts` or `erased`"
    if any(field in salted or row[field] is not None for field in erased):
        return "an erased field still has a value or a salt"
    if row["row_salt"] is None and any(row[field] is not None and field not in salted for field in FIELDS):
        return "a field has a value and no salt"
    return None


class Tree:
    """RFC 6962 over record hashes; keeps the roots of the complete subtrees, largest first."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, leaf):
        node, size = sha256(b"\0", leaf), self.size
        while size & 1:
            node, size = sha256(b"\1", self.peaks.pop(), node), size >> 1
        self.peaks.append(node)
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256()
        node = self.peaks[-1]
        for left in self.peaks[-2::-1]:
            node = sha256(b"\1", left, node)
        return node


# ---- FORMAT.md §7: key, note, checkpoint, manifest ------------------------------------------------------------------


def base64_bytes(encoded):
    """Padded standard base64; one value has one spelling."""
    try:
        raw = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Bad("not base64") from error
    if base64.b64encode(raw).decode() != encoded:
        raise Bad("not base64 in its one form")
    return raw


class Key:
    def __init__(self, vkey):
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3 or not parts[0] or any(c.isspace() for c in parts[0]):
            raise Bad("not a verifier key: expected NAME+HASH+KEY")
        self.name, raw = parts[0], base64_bytes(parts[2])
        if len(raw) != 33 or raw[0] != 1:
            raise Bad("not an Ed25519 verifier key")
        self.id = sha256(self.name.encode(), b"\n", raw)[:4]
        if self.id.hex() != parts[1]:
            raise Bad("the hash in the verifier key is not that of its name and key")
        self.public = Ed25519PublicKey.from_public_bytes(raw[1:])


def open_note(note, key):
    """The signed text of a note."""
    if len(note) > NOTE_BYTES_MAX:
        raise Bad("the note is larger than NOTE_BYTES_MAX")
    try:
        note = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Bad("the note is not UTF-8") from error
    if any(c != "\n" and unicodedata.category(c) == "Cc" for c in note):
        raise Bad("the note holds a control character")
    end = note.rfind("\n\n")
    if end < 0 or not note.endswith("\n"):
        raise Bad("no blank line before the signatures, or no newline at the end")
    body, lines, signed = note[: end + 1], note[end + 2 :].split("\n")[:-1], False
    for line in lines[:SIGNATURES_MAX]:
        words = line.removeprefix("\u2014 ").split(" ")
        if not line.startswith("\u2014 ") or len(words) != 2:
            raise Bad("a signature line is an em dash, a name and a signature")
        signature = base64_bytes(words[1])
        if len(signature) < 4:
            raise Bad("a signature has a key id")
        if words[0] != key.name or signature[:4] != key.id:
            continue
        signed = True
        try:
            key.public.verify(signature[4:], body.encode())
        except InvalidSignature as error:
            raise Bad(f"the signature by {key.name} does not fit the text") from error
    if not signed:
        raise Bad(f"no signature by {key.name}")
    return body


def canonical_json(value):
    """RFC 8785 for what a manifest holds: objects with ASCII keys or not, arrays, strings, integers below 2^53."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be"))
        return "{" + ",".join(f"{canonical_json(key)}:{canonical_json(value[key])}" for key in keys) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical_json(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def is_count(value):
    return type(value) is int and 0 <= value < 1 << 53


def is_hash(value):
    return isinstance(value, str) and HEX_32.match(value) is not None


def is_text(value):
    return isinstance(value, str)


def is_name(value):
    return isinstance(value, str) and NAME.match(value) is not None


def is_counts(value):
    return isinstance(value, dict) and all(is_count(count) for count in value.values())


FILE_SHAPE = {
    "name": is_text, "table": lambda value: value in ("records", "payloads"), "first_seq": is_count, "records": is_count,
    "rows": is_count, "bytes": is_count, "sha256": is_text,
}  # fmt: skip
MANIFEST_SHAPE = {
    "format": lambda value: value == "sealgate/manifest/v1", "gateway": is_name, "window": is_name,
    "state": lambda value: value in ("open", "sealed"), "records": is_count, "head": is_text, "counts": is_counts,
    "files": lambda value: isinstance(value, list), "software": is_text,
}  # fmt: skip


def check_shape(value, shape):
    if not isinstance(value, dict) or value.keys() != shape.keys():
        raise Bad("the manifest has other keys than this version's")
    for key, fits in shape.items():
        if not fits(value[key]):
            raise Bad(f"the manifest's {key!r} is not what this version knows")


def open_ledger_note(note, key):
    """The manifest and the root that the note signs."""
    lines = open_note(note, key).split("\n")[:-1]
    if len(lines) != 4:
        raise Bad("the text is not origin, size, root and one manifest line")
    origin, size, root, line = lines
    try:
        manifest = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Bad(f"the manifest is not JSON: {error}") from error
    check_shape(manifest, MANIFEST_SHAPE)
    for file in manifest["files"]:
        check_shape(file, FILE_SHAPE)
    root = base64_bytes(root)
    agrees = origin == f"sealgate/{manifest['gateway']}/{manifest['window']}" and size == str(manifest["records"])
    if canonical_json(manifest) != line or not agrees or len(root) != 32:
        raise Bad("manifest and checkpoint disagree, or the manifest is not in canonical form")
    return manifest, root


# ---- FORMAT.md §6: Parquet structure, read from the bytes -------------------------------------------------------------


# Structs of parquet.thrift by field: only those that this format has, so any other field is an error.
I16, I32, I64, BYTES, BOOL = "i16", "i32", "i64", "bytes", "bool"
KEY_VALUE = {1: BYTES, 2: BYTES}
LOGICAL = {1: {}, 3: {}, 8: {1: BOOL, 2: {2: {}}}, 10: {1: "i8", 2: BOOL}}
ELEMENT = {1: I32, 2: I32, 3: I32, 4: BYTES, 5: I32, 6: I32, 10: LOGICAL}
STATISTICS = {1: BYTES, 2: BYTES, 3: I64, 5: BYTES, 6: BYTES, 7: BOOL, 8: BOOL}
CHUNK_META = {
    1: I32, 2: [I32], 3: [BYTES], 4: I32, 5: I64, 6: I64, 7: I64, 9: I64, 11: I64, 12: STATISTICS,
    13: [{1: I32, 2: I32, 3: I32}], 16: {1: I64, 2: [I64], 3: [I64]},
}  # fmt: skip
ROW_GROUP = {1: [{2: I64, 3: CHUNK_META}], 2: I64, 3: I64, 5: I64, 6: I64, 7: I16}
FILE_META = {1: I32, 2: [ELEMENT], 3: I64, 4: [ROW_GROUP], 5: [KEY_VALUE], 6: BYTES, 7: [{1: {}}]}
DATA_PAGE = {1: I32, 2: I32, 3: I32, 4: I32, 5: I32, 6: I32, 7: BOOL}
PAGE_HEADER = {1: I32, 2: I32, 3: I32, 7: {1: I32, 2: I32, 3: BOOL}, 8: DATA_PAGE}
WIRE = {"i8": 3, I16: 4, I32: 5, I64: 6, BYTES: 8}
BITS = {I16: 16, I32: 32, I64: 64}


def wire(spec):
    """The number of a type on the wire; a struct is a dictionary, a list is a list of one."""
    return 12 if isinstance(spec, dict) else 9 if isinstance(spec, list) else WIRE.get(spec)


class Thrift:
    """The compact protocol, structs as dictionaries by field id. One value has one spelling: ascending fields with short
    heads, shortest numbers, the shorter of the two list heads; no field that the struct does not have."""

    def __init__(self, data, at=0):
        self.data, self.at = data, at

    def byte(self):
        if self.at >= len(self.data):
            raise Bad("a Thrift value ends early")
        self.at += 1
        return self.data[self.at - 1]

    def unsigned(self):
        value = shift = 0
        while shift < 64:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (shift and not byte) or value >> 64:
                    raise Bad("a Thrift number is longer than it needs to be")
                return value
            shift += 7
        raise Bad("a Thrift number is too long")

    def signed(self, bits):
        value = self.unsigned()
        value = value >> 1 ^ -(value & 1)
        if not -(1 << bits - 1) <= value < 1 << bits - 1:
            raise Bad("a Thrift number is out of the range of its type")
        return value

    def take(self, length):
        if length > len(self.data) - self.at:
            raise Bad("a Thrift value ends early")
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def value(self, spec):
        if isinstance(spec, dict):
            return self.struct(spec)
        if spec == BYTES:
            return self.take(self.unsigned())
        if spec == "i8":
            return self.byte()
        if not isinstance(spec, list):
            return self.signed(BITS[spec])
        head = self.byte()
        count = head >> 4 if head >> 4 < 15 else self.unsigned()
        if head & 15 != wire(spec[0]) or (head >> 4 == 15 and count < 15):
            raise Bad("a Thrift list holds another type than it should, or has the wrong head")
        if count > len(self.data) - self.at:
            raise Bad("a Thrift list is longer than its bytes")
        return [self.value(spec[0]) for _ in range(count)]

    def struct(self, spec):
        fields, field = {}, 0
        while head := self.byte():
            field += head >> 4
            kind = head & 15
            expected = spec.get(field)
            if not head >> 4 or expected is None or not (kind in (1, 2) if expected == BOOL else kind == wire(expected)):
                raise Bad(f"a Thrift field ({field}) that this format does not have there")
            fields[field] = kind == 1 if expected == BOOL else self.value(expected)
        return fields


class Footer:
    """The footer of one file, and where it starts."""

    def __init__(self, data):
        if len(data) < 12 or data[:4] != b"PAR1" or data[-4:] != b"PAR1":
            raise Bad("it does not start and end with PAR1")
        length = int.from_bytes(data[-8:-4], "little")
        self.start = len(data) - 8 - length
        if self.start < 4:
            raise Bad("the footer is longer than the file")
        if length > FOOTER_BYTES_MAX:
            raise Bad("the footer is longer than FOOTER_BYTES_MAX")
        reader = Thrift(data[self.start : -8])
        self.file = reader.struct(FILE_META)
        if reader.at != length:
            raise Bad("bytes follow the footer's last field")
        self.groups = self.file[4]


def check_footer(data, footer, table, gateway, window, first_seq):
    """Faults of the footer itself. Raises KeyError, TypeError and kin where a field is missing or of another type."""
    file, columns = footer.file, TABLES[table]
    leaves = [leaf for column in columns for leaf in column.leaves]
    if file.keys() != FILE_META.keys() or file[1] != 2:
        yield "the footer has other fields or another version than this format's"
    if file[2] != [{4: b"arrow_schema", 5: len(columns)}] + [e for column in columns for e in column.elements]:
        yield "the schema is not this table's"
        return
    if file[6] != CREATED_BY:
        yield f"created_by is {file[6]!r}"
    words = {"format": f"sealgate/{table}/v1", "gateway": gateway, "window": window, "first_seq": str(first_seq)}
    if file[5] != [{1: f"sealgate.{key}".encode(), 2: value.encode()} for key, value in words.items()]:
        yield "the key-value metadata is not what this part must have"
    if file[7] != [{1: {}}] * len(leaves):
        yield "the column orders are not those of the types"
    if file[3] != sum(group[3] for group in footer.groups):
        yield "the number of rows is not that of its row groups"
    due = 4
    for index, group in enumerate(footer.groups):
        start, chunks = due, group[1]
        if len(chunks) != len(leaves) or not 0 < group[3] <= ROW_GROUP_ROWS_MAX:
            yield f"row group {index} has another number of columns than the schema, or not 1 to ROW_GROUP_ROWS_MAX rows"
            return
        for chunk, (path, element) in zip(chunks, leaves):
            fault, due = check_chunk(data, chunk, path, element, levels_of(columns, path), due, footer.start, group[3])
            if fault:
                yield f"column `{'.'.join(path)}`: {fault}"
                return
        held = sum(chunk[3][6] for chunk in chunks)
        if group != {1: chunks, 2: held, 3: group[3], 5: start, 6: due - start, 7: index} or held > ROW_GROUP_BYTES_MAX:
            yield f"the sizes, offset or ordinal of row group {index} are not those of its columns, or above ROW_GROUP_BYTES_MAX"
            return
    if due != footer.start:
        yield f"the last column ends at byte {due}, the footer starts at {footer.start}"


def levels_of(columns, path):
    """The highest definition and repetition level of a leaf."""
    column = next(column for column in columns if column.name == path[0])
    return column.nullable + column.listed, int(column.listed)


def check_chunk(data, chunk, path, element, levels, due, limit, rows):
    """One column chunk: what is wrong with it, and the byte after it."""
    meta = chunk[3]
    if chunk.keys() != {2, 3} or chunk[2] != 0 or not meta.keys() >= {1, 2, 3, 4, 5, 6, 7, 9, 13}:
        return "its metadata lacks a field", due
    if [part.decode() for part in meta[3]] != list(path) or meta[1] != element[1]:
        return "path or type are not those of the schema", due
    if meta[4] != ZSTD:
        return "it is not compressed with zstd", due
    start, end = meta.get(11, meta[9]), due + meta[7]
    if start != due or not due <= end <= limit:
        return f"it starts at byte {start}, byte {due} is next; or it does not end before the footer", due
    values = page_rows = held = 0
    stats = []
    for at, contents, header in pages(data, due, end):
        dictionary = header[1] == 2
        if header.keys() != {1, 2, 3, 7 if dictionary else 8} or header[1] not in (2, 3) or dictionary != (at == meta.get(11)):
            return f"the page at byte {at} is of a kind that does not belong there", due
        encoding = header[7][2] if dictionary else header[8][4]
        if not dictionary:
            fault = page_fault(header, data[contents : contents + header[3]], levels)
            if (not values) != (at == meta[9]) or (encoding == 8 and 11 not in meta):
                fault = "it is not where the footer says, or has no dictionary"
            if fault:
                return f"the page at byte {at}: {fault}", due
            values, page_rows = values + header[8][1], page_rows + header[8][3]
        elif header[7].keys() != {1, 2, 3} or header[7][2] != 0 or header[7][3] or header[7][1] < 0:
            return "its dictionary is not plain, or says something of its order", due
        if max(values, header[7][1] if dictionary else 0) > CHUNK_VALUES_MAX:
            return "it has more values than CHUNK_VALUES_MAX", due
        held += contents - at + header[2]
        if not stats or (stats[-1][1], stats[-1][2]) != (header[1], encoding):
            stats.append({1: header[1], 2: encoding, 3: 0})
        stats[-1][3] += 1
    if values != meta[5] or page_rows != rows:
        return "its pages do not hold as many values or rows as the footer says", due
    if held != meta[6]:
        return "its uncompressed size is not that of its pages", due
    if meta[13] != stats or meta[2] != sorted({3} | {run[2] for run in stats}):
        return "its encodings are not those of its pages", due
    return None, end


def page_fault(header, contents, levels):
    """A data page's numbers against its levels, and its lengths against each other."""
    page = header[8]
    if page.keys() != DATA_PAGE.keys() or min(page[field] for field in range(1, 7)) < 0:
        return "a field is missing or negative"
    if page[4] not in ENCODINGS:
        return "its encoding is not one of this format"
    both = page[5] + page[6]
    if both > len(contents) or (header[2] <= both if page[7] else header[2] != header[3]):
        return "its lengths contradict each other"
    if not 0 < page[3] or page[1] > CHUNK_VALUES_MAX:
        return "it has no rows, or more values than CHUNK_VALUES_MAX"
    repetition = histogram(contents[: page[6]], levels[1], page[1])
    definition = histogram(contents[page[6] : both], levels[0], page[1])
    if repetition[0] != page[3] or page[1] - definition[levels[0]] != page[2]:
        return "it does not hold as many rows or nulls as it says"
    return None


def histogram(data, highest, entries):
    """How many entries have each level; the levels must fill `data`."""
    counts = [0] * (highest + 1)
    if not highest:
        if data:
            raise Bad("a page has levels that its column does not have")
        return [entries]
    width, at, left = 1 if highest == 1 else 2, 0, entries
    while left:
        head = shift = 0
        while True:
            head |= (data[at] & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if data[at - 1] < 0x80:
                break
        run = head >> 1
        if not run or (run - 1) * 8 >= left and head & 1 or run > left and not head & 1:
            raise Bad("a page has more levels than values")
        if head & 1:
            packed = int.from_bytes(data[at : at + run * width], "little")
            if at + run * width > len(data):
                raise Bad("the levels of a page end early")
            at, run = at + run * width, min(left, run * 8)
            for _ in range(run):
                counts[packed & (1 << width) - 1] += 1
                packed >>= width
        else:
            counts[data[at]] += run
            at += 1
        left -= run
    if at != len(data):
        raise Bad("bytes follow the levels of a page")
    return counts


def pages(data, at, end):
    """The pages of a chunk, which they must fill: (offset, offset of the contents, header)."""
    while at < end:
        reader = Thrift(data, at)
        header = reader.struct(PAGE_HEADER)
        if header[3] < 0 or header[2] < 0 or reader.at + header[3] > end:
            raise Bad(f"the page at byte {at} does not end inside its column")
        yield at, reader.at, header
        at = reader.at + header[3]


def contents_fault(data, meta):
    """What is wrong with the contents of a chunk's pages: lengths when decompressed, the size of the dictionary."""
    begin = meta.get(11, meta[9])
    for at, contents, header in pages(data, begin, begin + meta[7]):
        contents = decompressed(data[contents : contents + header[3]], header)
        if contents is None:
            return f"the page at byte {at} does not have the length that it says"
        if 7 in header and plain_values(contents, meta[1]) != header[7][1]:
            return "its dictionary does not hold as many values as it says"
    return None


def plain_values(data, kind):
    """How many plain values fill `data`, or None."""
    if kind != 6:
        width = {1: 4, 2: 8}.get(kind)
        return len(data) // width if width and not len(data) % width else None
    at = count = 0
    while at < len(data):
        at, count = at + 4 + int.from_bytes(data[at : at + 4], "little"), count + 1
    return count if at == len(data) else None


def statistics_fault(meta, path, element, leaf, sizes):
    """Compares a chunk's statistics with its values: `leaf` is the values, nulls as None, an empty or null list as one None."""
    found = meta.get(12)
    if len(leaf) != meta[5]:
        return "the footer's number of values is not that of its cells"
    if path in WITHOUT_STATISTICS:
        return "it has statistics, and must not" if 12 in meta or 16 in meta else None
    if found is None:
        return "it has no statistics"
    if element[1] == 6:
        sizes = {1: sum(len(order(value)) for value in leaf if value is not None), **sizes}
    if meta.get(16, {}) != sizes or (16 in meta) != bool(sizes):
        return "the footer's size_statistics are not those of its cells"
    known = [value for value in leaf if value is not None]
    expected = {3: len(leaf) - len(known)}
    if known:
        low, high = plain(min(known, key=order), element), plain(max(known, key=order), element)
        expected |= {5: high, 6: low, 7: True, 8: True}
        # Older readers take the first pair where the order is that of signed numbers.
        expected |= {1: high, 2: low} if element is MICROS else {}
    else:
        expected |= {7: False, 8: False}
    return None if found == expected else "the footer's statistics are not those of its cells"


def order(value):
    return value.encode() if isinstance(value, str) else value


def plain(value, element):
    """The plain encoding of one value."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes):
        return value
    return value.to_bytes(4 if element[1] == 1 else 8, "little", signed=element is MICROS)


# ---- Cells -----------------------------------------------------------------------------------------------------------

BAD = object()


def python_cells(column, array):
    """A column's cells as Python values; `BAD` for what this format does not have."""
    if array.type != column.arrow:
        array = array.cast(column.arrow)
    if pa.types.is_timestamp(column.arrow):
        array = array.cast(pa.int64())
    try:
        cells = array.to_pylist()
    except UnicodeDecodeError:
        cells = [cell_or_bad(scalar) for scalar in array]
    if column.pair:
        (first, _), (second, _) = column.pair
        cells = [cell if cell in (None, BAD) else [pair and (pair[first], pair[second]) for pair in cell] for cell in cells]
    return [cell if cell_fits(column, cell) else BAD for cell in cells]


def cell_or_bad(scalar):
    try:
        return scalar.as_py()
    except UnicodeDecodeError:
        return BAD


def cell_fits(column, cell):
    if cell is BAD or cell is None:
        return cell is None and column.nullable
    if column.pair:
        return all(pair is not None and None not in pair for pair in cell)
    return not column.listed or None not in cell


def leaf_values(column, index, cells):
    """The values of one of the column's leaves, as its pages hold them."""
    if not column.listed:
        return cells
    pick = (lambda item: item[index]) if column.pair else (lambda item: item)
    return [value for cell in cells for value in ([pick(item) for item in cell] if cell else [None])]


def size_statistics(column, cells):
    """How often each level occurs, as `size_statistics` has it: nothing for levels that a column does not have."""
    definition, repetition = levels_of([column], (column.name,))
    if not definition:
        return {}
    if not column.listed:
        nulls = sum(cell is None for cell in cells)
        return {3: [nulls, len(cells) - nulls]}
    entries = sum(len(cell or ()) for cell in cells)
    counts = [sum(cell is None for cell in cells)] * column.nullable
    counts += [sum(cell is not None and not cell for cell in cells), entries]
    return {2: [len(cells), sum(counts) - len(cells)], 3: counts}


class File:
    """What could be read of one file: `rows` as (row number, dictionary), `faults` as (row number or None, what)."""

    def __init__(self, data, table, gateway, window, first_seq):
        self.table, self.first_seq, self.rows, self.faults, self.count = table, first_seq, [], [], 0
        footer = None
        try:
            footer = Footer(data)
            self.faults += [(None, what) for what in check_footer(data, footer, table, gateway, window, first_seq)]
        except MALFORMED as error:
            self.faults.append((None, f"the footer can't be followed: {error!r}"))
        # Statistics and row numbers are looked at only where the footer is otherwise what it must be.
        sound = footer if not self.faults else None
        try:
            parquet = pq.ParquetFile(pa.BufferReader(data))
            groups = parquet.num_row_groups
        except Exception as error:  # pyarrow raises many kinds, and all mean the same here
            self.faults.append((None, f"the footer can't be decoded: {error}"))
            return
        first = 0
        for index in range(groups):
            cells = self.group(data, parquet, index, first, sound)
            if cells is not None:
                self.take(cells, first)
            first += max(parquet.metadata.row_group(index).num_rows, 0)

    def group(self, data, parquet, index, first, footer):
        """The cells of one row group by column, or None and a fault that says where it is damaged."""
        cells, broken, held = {}, [], 0
        rows = parquet.metadata.row_group(index).num_rows
        if rows > FOREIGN_ROWS_MAX or parquet.metadata.row_group(index).total_byte_size > ROW_GROUP_BYTES_MAX:
            self.faults.append((None, "a row group is not decoded: it is above FOREIGN_ROWS_MAX or ROW_GROUP_BYTES_MAX"))
            return None
        for column in TABLES[self.table]:
            try:
                array = parquet.read_row_group(index, columns=[column.name], use_threads=False).column(column.name)
                held += array.nbytes
                if held > ROW_GROUP_BYTES_MAX:
                    raise Bad("the row group's cells hold more than ROW_GROUP_BYTES_MAX")
                cells[column.name] = python_cells(column, array)
            except Exception as error:
                broken.append((column, str(error).splitlines()[0] if str(error) else type(error).__name__))
        for column, error in broken:
            start, end = (0, rows)
            if footer:
                start, end = locate(data, footer, index, column, rows)
            self.faults.append((None, f"column `{column.name}` can't be decoded: changed in {self.place(first + start, first + end)} ({error})"))
        if broken:
            return None
        lengths = {len(of) for of in cells.values()}
        if lengths != {rows} or not rows:
            self.faults.append((None, "a row group is empty, or does not have the number of rows that it says"))
        if footer:
            self.check_statistics(data, footer.groups[index], cells)
        return cells if len(lengths) == 1 else None

    def place(self, start, end):
        if self.table == "records":
            return f"one of records {self.first_seq + start}..={self.first_seq + max(end, start + 1) - 1}"
        return f"one of payload rows {start}..={max(end, start + 1) - 1} of the part at {self.first_seq}"

    def check_statistics(self, data, group, cells):
        chunks = iter(group[1])
        for column in TABLES[self.table]:
            of = cells[column.name]
            for index, (path, element) in enumerate(column.leaves):
                meta = next(chunks)[3]
                try:
                    sizes = size_statistics(column, of)
                    fault = None if BAD in of else statistics_fault(meta, path, element, leaf_values(column, index, of), sizes)
                    fault = fault or contents_fault(data, meta)
                except MALFORMED as error:
                    fault = f"its statistics can't be followed: {error!r}"
                if fault:
                    self.faults.append((None, f"column `{'.'.join(path)}`: {fault}"))

    def take(self, cells, first):
        names = list(cells)
        for number, values in enumerate(zip(*cells.values()), first):
            self.count += 1
            row = dict(zip(names, values))
            bad = [name for name, value in row.items() if value is BAD or not word_fits(name, value)]
            if self.table == "payloads" and not bad and row["row_salt"] is not None and row["salts"]:
                bad = ["salts"]
            if bad:
                self.faults.append((number, f"column `{bad[0]}` of row {number} holds what this format does not have"))
            else:
                self.rows.append((number, row))


def word_fits(name, value):
    if name == "kind":
        return KIND.match(value) is not None
    return name != "body_capture" or value is None or value in CAPTURES


def locate(data, footer, index, column, rows):
    """The rows of the first page of a column that can't be decompressed; all rows where each can."""
    chunks = {tuple(part.decode() for part in chunk[3][3]): chunk[3] for chunk in footer.groups[index][1]}
    for path, _ in column.leaves:
        meta, start = chunks[path], 0
        begin = meta.get(11, meta[9])
        try:
            for _, at, header in pages(data, begin, begin + meta[7]):
                count = header[8][3] if 8 in header else 0
                if decompressed(data[at : at + header[3]], header) is None:
                    return (start, start + count) if count else (0, rows)
                start += count
        except MALFORMED:
            return start, rows
    return 0, rows


def decompressed(contents, header):
    """The contents of a page behind its levels, or None where they are not as long as it says."""
    v2 = header.get(8)
    levels = v2[5] + v2[6] if v2 else 0
    if v2 and not v2[7]:
        return contents[levels:]
    if header[2] == levels:
        return b""
    try:
        return pa.decompress(contents[levels:], decompressed_size=header[2] - levels, codec="zstd", asbytes=True)
    except Exception:
        return None


# ---- FORMAT.md §8: the walk over one ledger -----------------------------------------------------------------------------


class Ledger:
    """Findings and verdicts for one ledger."""

    def __init__(self, gateway=None, window=None):
        self.gateway, self.window, self.state, self.records, self.root = gateway, window, None, 0, None
        self.levels = dict.fromkeys(LEVELS, "NOT CHECKED")
        self.findings, self.left_out = [], 0
        self.tree, self.head, self.due = Tree(), ZERO, 0
        self.counts, self.open, self.closed = Counter(), set(), False

    def find(self, level, place, what, seq=None):
        self.levels[level] = "FAIL"
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append({"level": level, "seq": seq, "place": place, "what": what})
        else:
            self.left_out += 1

    def find_record(self, seq, what, level="L2"):
        self.find(level, f"record {seq}", what, seq)

    def verify(self, folder, key):
        try:
            manifest, root = open_ledger_note((folder / NOTE_NAME).read_bytes(), key)
        except FileNotFoundError:
            return self.find("L0", NOTE_NAME, "the folder has no note")
        except (Bad, OSError) as error:
            return self.find("L0", NOTE_NAME, str(error))
        for level in ("L0", "L1", "L2"):
            self.levels[level] = "PASS"
        if (self.gateway or manifest["gateway"], self.window or manifest["window"]) != (manifest["gateway"], manifest["window"]):
            self.find("L0", NOTE_NAME, f"it is signed for {manifest['gateway']}/{manifest['window']}, and lies in another folder")
        self.gateway, self.window, self.state = manifest["gateway"], manifest["window"], manifest["state"]
        self.records, self.root = manifest["records"], root
        self.check_file_set(manifest, sorted(path.name for path in folder.iterdir() if path.name != NOTE_NAME))
        files = manifest["files"]
        at = 0
        while at < len(files):
            file, payloads = files[at], None
            if at + 1 < len(files) and files[at + 1]["table"] == "payloads" and files[at + 1]["first_seq"] == file["first_seq"]:
                payloads = files[at + 1]
            at += 2 if payloads else 1
            self.part(folder, file, payloads)
        self.check_end(manifest)

    def check_file_set(self, manifest, names):
        listed = [file["name"] for file in manifest["files"]]
        if len(set(listed)) != len(listed):
            self.find("L0", "manifest", "it lists a file twice")
        for file in manifest["files"]:
            if file["name"] != file_name(file):
                self.find("L0", file["name"], "the name is not that of its table and first seq")
        for name in names:
            if name not in listed:
                self.find("L0", name, "the file is not in the manifest")

    def part(self, folder, file, payload_file):
        if file["table"] != "records" or file["first_seq"] != self.due:
            self.find("L1", file["name"], f"a records file that starts at {self.due} is due here")
        if file["table"] == "records" and file["rows"] != file["records"]:
            self.find("L1", file["name"], "the manifest gives it another number of rows than of records")
        if payload_file and payload_file["records"] != file["records"]:
            self.find("L1", payload_file["name"], "the manifest gives it another number of records than the part has")
        rows = self.rows(folder, file)
        end, commitments = file["first_seq"] + file["records"], {}
        for _, row in rows if file["table"] == "records" else []:
            seq = self.record(row, end)
            if row["payload_hash"] is not None:
                commitments[seq] = row["payload_hash"]
        self.resume_at(end)
        self.payloads(self.rows(folder, payload_file) if payload_file else [], commitments)

    def rows(self, folder, file):
        """Reads one file: its bytes against the manifest, its structure, its rows."""
        name = file["name"]
        if file["bytes"] > FILE_BYTES_MAX:
            self.find("L0", name, "it is larger than FILE_BYTES_MAX")
            return []
        try:
            # Not the name as signed: that could be a path out of the folder.
            with open(folder / file_name(file), "rb") as source:
                data = source.read(FILE_BYTES_MAX + 1)
        except (OSError, ValueError) as error:
            self.find("L0", name, f"it can't be read: {error}")
            return []
        if len(data) != file["bytes"] or sha256(data).hex() != file["sha256"]:
            self.find("L0", name, "its bytes are not the sealed ones (SHA-256 or length differ)")
        read = File(data, file["table"], self.gateway, self.window, file["first_seq"])
        for number, what in read.faults:
            if number is not None and file["table"] == "records":
                self.find_record(file["first_seq"] + number, what, "L1")
            else:
                self.find("L1", name, what)
        if read.count != file["rows"]:
            self.find("L1", name, f"{read.count} rows could be read, {file['rows']} are sealed")
        return read.rows

    def fits(self, row, **changed):
        return sha256(preimage(self.gateway, self.window, self.head, {**row, **changed})) == row["hash"]

    def record(self, row, end):
        """Takes the next row of a records file; returns the seq that it was taken for."""
        seq = row["seq"]
        if seq != self.due and self.head is not None and self.fits(row, seq=self.due):
            self.find_record(self.due, f"a cell was changed: its seq says {seq}")
            seq, row = self.due, {**row, "seq": self.due}
        elif self.due <= seq < end:
            self.resume_at(seq)
        if seq != self.due:
            self.find_record(seq, f"it stands where record {self.due} belongs")
            return seq
        if (row["gateway"], row["change_window"]) != (self.gateway, self.window):
            self.find_record(seq, "its gateway or window column names another ledger")
        if self.head is not None and not self.fits(row):
            after = f"does not follow record {seq - 1}" if seq else "is not the first of this ledger"
            self.find_record(seq, f"a cell was changed, or it {after}: its hash does not fit")
        what = self.call(row)
        if what:
            self.find_record(seq, what)
        # On from the hash as stored: one changed record is one finding, and a stored hash that was changed along with
        # it breaks the next record and the root.
        self.head = row["hash"]
        self.tree.push(row["hash"])
        self.due += 1
        return seq

    def resume_at(self, seq):
        """Names the records missing before `seq`, and goes on from there."""
        if seq <= self.due:
            return
        place = f"record {self.due}" if seq - self.due == 1 else f"records {self.due}..={seq - 1}"
        self.find("L2", place, "missing, or in bytes that can't be decoded", self.due)
        self.due, self.head = seq, None

    def call(self, row):
        """The grammar of a ledger: what is wrong with the place of this record, or None."""
        kind, seq, call = row["kind"], row["seq"], row["call"]
        self.counts[kind] += 1
        if self.closed:
            return "a record follows window_close"
        if (seq == 0) != (kind == "window_open"):
            return "window_open is the first record and no other"
        if kind == "intent":
            self.open.add(seq)
            return None if call == seq else "an intent names itself in `call`"
        if kind in ("request_body", "outcome", "outcome_unknown"):
            if call not in self.open:
                return "it names no call" if call is None else f"call {call} is not an intent that waits for an outcome"
            if kind != "request_body":
                self.open.remove(call)
        if kind == "window_close":
            self.closed = True
            if counts_in(row["detail"]) != dict(self.counts):
                return "the counts in window_close are not those of the records"
            if self.open:
                return f"{len(self.open)} calls have no outcome"
        return None

    def payloads(self, rows, commitments):
        last = -1
        for _, row in rows:
            seq = row["seq"]
            if seq <= last or (row["gateway"], row["change_window"]) != (self.gateway, self.window):
                self.find_record(seq, "its payload row is out of order or names another ledger")
            last = seq
            expected, fault = commitments.pop(seq, None), payload_fault(row)
            if expected is None:
                self.find_record(seq, "a payload row belongs to no record of the part")
            elif fault:
                self.find_record(seq, f"its payload row: {fault}")
            elif commitment(row) != expected:
                self.find_record(seq, "its payload row does not fit the commitment in the record")
            elif not body_fits(row):
                self.find_record(seq, "its body does not have the length or SHA-256 that its row says")
        for seq in commitments:
            self.find_record(seq, "its payload row is missing")

    def check_end(self, manifest):
        if self.due != manifest["records"]:
            self.find("L2", "ledger", f"{manifest['records']} records are signed, the files hold {self.due}")
        if self.tree.root() != self.root or (self.head or ZERO).hex() != manifest["head"]:
            self.find("L2", "ledger", "the tree over the record hashes does not have the signed root and head")
        if dict(self.counts) != manifest["counts"]:
            self.find("L2", "ledger", "the records by kind are not those in the manifest")
        if self.closed != (self.state == "sealed"):
            self.find("L2", "ledger", "a sealed ledger ends with window_close, an open one does not")

    def report(self):
        return {
            "gateway": self.gateway, "window": self.window, "state": self.state, "records": self.records,
            "root": self.root and self.root.hex(), "levels": self.levels, "findings": self.findings,
            "findings_left_out": self.left_out,
        }  # fmt: skip


def file_name(file):
    return f"{file['table']}-{file['first_seq']:012}.parquet"


def counts_in(detail):
    try:
        counts = json.loads(detail or "null")["counts"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return counts if is_counts(counts) else None


def body_fits(row):
    body, digest, capture = row["body"], row["body_sha256"], row["body_capture"]
    if body is None or digest is None or capture not in ("full", "redacted"):
        return True
    return sha256(body) == digest and (capture != "full" or row["body_bytes"] == len(body))


# ---- Command line ----------------------------------------------------------------------------------------------------


def verify_folder(root, key):
    """Reports for EVIDENCE_DIR/GATEWAY/WINDOW, or for the one ledger that `root` is."""
    if (root / NOTE_NAME).exists():
        ledger = Ledger()
        ledger.verify(root, key)
        return [ledger]
    ledgers = []
    for gateway in sorted(root.iterdir()):
        for window in sorted(gateway.iterdir()) if gateway.is_dir() else [None]:
            ledger = Ledger(gateway.name, window and window.name)
            if window is None or not window.is_dir():
                ledger.find("L0", str(window or gateway), "a file stands where only folders belong")
            else:
                ledger.verify(window, key)
            ledgers.append(ledger)
    return ledgers


def print_ledger(report):
    size = f"{report['records']} records" if report["root"] else "not opened"
    name = "/".join(filter(None, (report["gateway"], report["window"]))) or "unknown ledger"
    print(f"{name}: {report['state'] or 'unknown state'}, {size}, root {report['root'] or '-'}")
    for level, title in LEVELS.items():
        print(f"  {level} {title:<28} {report['levels'][level]}")
    for finding in report["findings"]:
        print(f"  {finding['level']} {finding['place']}: {finding['what']}")
    if report["findings_left_out"]:
        print(f"  and {report['findings_left_out']} more findings")
    if report["state"] == "open":
        print("  open: nothing signed says where this ledger ends; the newest records may be missing")


def check_vectors(folder):
    """Yields what differs from the published vectors."""
    load = lambda name: json.loads((folder / name).read_text(encoding="utf-8"))  # noqa: E731
    for vector in load("cbor.json"):
        if cbor(from_tagged(vector["value"])).hex() != vector["hex"]:
            yield f"cbor.json: {vector['value']}"
    for vector in load("records.json"):
        row = {name: unhex(value) if name == "payload_hash" else value for name, value in vector["columns"].items()}
        encoded = preimage(vector["gateway"], vector["window"], bytes.fromhex(vector["previous"]), row)
        if encoded.hex() != vector["preimage"] or sha256(encoded).hex() != vector["hash"]:
            yield f"records.json: record {row['seq']}"
    for index, vector in enumerate(load("payloads.json")):
        row = payload_row(vector["row"])
        salts = {field: unhex(value) for field, value in vector["salts"].items()}
        commitments = {field: unhex(value) for field, value in vector["commitments"].items()}
        if payload_fault(row) or salts != {field: salt_of(row, field) for field in FIELDS}:
            yield f"payloads.json: salts of row {index}"
        if commitments != {field: field_commitment(row, field) for field in FIELDS} or commitment(row).hex() != vector["commitment"]:
            yield f"payloads.json: commitments of row {index}"
    tree, vector = Tree(), load("tree.json")
    for size, root in enumerate(vector["roots"]):
        if tree.root().hex() != root:
            yield f"tree.json: size {size}"
        tree.push(bytes.fromhex(vector["leaves"][min(size, len(vector["leaves"]) - 1)]))
    vector = load("note.json")
    manifest, root = open_ledger_note(vector["note"].encode(), Key(vector["vkey"]))
    if manifest != vector["manifest"] or root.hex() != vector["root"]:
        yield "note.json: manifest or root"


def unhex(value):
    return None if value is None else bytes.fromhex(value)


def from_tagged(value):
    if isinstance(value, list):
        return [from_tagged(item) for item in value]
    if isinstance(value, dict):
        return int(value["int"]) if "int" in value else bytes.fromhex(value["bytes"])
    return value


def payload_row(vector):
    row = {name: unhex(value) if name in ("row_salt", "body", "body_sha256") else value for name, value in vector.items()}
    for name in ("salts", "erased"):
        row[name] = [(field, bytes.fromhex(value)) for field, value in row[name]]
    return row


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        print(f"verify.py: {message}", file=sys.stderr)
        raise SystemExit(3)


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evidence", nargs="?", type=Path, help="EVIDENCE_DIR, or the folder of one ledger")
    parser.add_argument("--key", help="a vkey, or the path of a file that holds one")
    parser.add_argument("--json", action="store_true", help="print a machine-readable report")
    parser.add_argument("--vectors", type=Path, help="check this program against the vectors in a folder")
    arguments = parser.parse_args()
    if arguments.vectors:
        return run_vectors(parser, arguments.vectors)
    if not arguments.evidence or not arguments.key:
        parser.error("EVIDENCE_DIR and --key are needed")
    if not arguments.evidence.is_dir():
        parser.error(f"{arguments.evidence} is not a folder")
    try:
        path = Path(arguments.key)
        key = Key(path.read_text(encoding="utf-8") if "+" not in arguments.key or path.is_file() else arguments.key)
    except (Bad, OSError, ValueError) as error:
        parser.error(f"--key: {error}")
    ledgers = verify_folder(arguments.evidence, key)
    code = 2 if not ledgers else int(any("FAIL" in ledger.levels.values() for ledger in ledgers))
    reports = [ledger.report() for ledger in ledgers]
    if arguments.json:
        print(json.dumps({"ledgers": reports, "exit": code}, indent=1))
        return code
    for report in reports:
        print_ledger(report)
    if not ledgers:
        print(f"{arguments.evidence}: nothing to check was found, which is not a pass", file=sys.stderr)
    return code


def run_vectors(parser, folder):
    try:
        differences = list(check_vectors(folder))
    except (OSError, ValueError, KeyError, TypeError, Bad) as error:
        parser.error(f"--vectors: {error!r}")
    for difference in differences:
        print(f"FAIL {difference}")
    if not differences:
        print("PASS all vectors")
    return int(bool(differences))


if __name__ == "__main__":
    sys.exit(main())

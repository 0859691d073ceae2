#!/usr/bin/env python3
"""Verifies Sealgate evidence from bytes and public keys alone. Written from FORMAT.md, not from the Rust.

    verify.py EVIDENCE --key KEY [--pin FILE] [--policy FILE] [--tsa-ca FILE] [--approvers FILE [--require-approval]] [--json]
    verify.py BUNDLE --key KEY [--pin FILE] [--policy FILE] [--approvers FILE] [--json]     one record that `sealgate prove` wrote
    verify.py --batch FILE                        one job a line, one report a line, both JSON
    verify.py --vectors schema/vectors            checks this program against the published vectors

EVIDENCE is the folder `evidence`, one GATEWAY folder in it, or one WINDOW folder (whose gateway's `_log` is read beside it).
KEY is a gateway's identity key (`NAME+HASH+KEY`) or the path of a file that holds one; `--key` and `--pin` may be repeated.
FILE of `--approvers` is OpenSSH's allowed_signers: whose SSH keys are whose.
A line for `--batch` is {"evidence", "keys": [...], "pins": [the checkpoints themselves]}, and may have "signers" (such a file itself)
and "require_approval".
Exit: 0 all required levels hold for everything found, 1 something does not hold, 2 incomplete (only L5 failed, nothing was
found, or a pinned log is not there), 3 wrong usage. Required are L0, L1, L2, L5, L3 with a pin, L4 with a policy or a CA, L6 with approvers.

What it relies on: pyarrow decodes the cells, cbor2 encodes, hashlib and cryptography do what they are named for, `openssl ts`
checks timestamps. Footers, page headers and statistics are read here, byte by byte, and not asked of pyarrow.
What it does not claim: what the rows of an encrypted payloads file hold; that an open ledger holds its latest records beyond
the log's last head; that encodings and page sizes are those that the writer would choose;
anything about time beyond what is recorded, save for the seals that a timestamp CA signed.
"""

import argparse
import base64
import binascii
import errno
import hashlib
import json
import os
import re
import stat
import subprocess
import sys
import unicodedata
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

import cbor2
import pyarrow as pa
import pyarrow.parquet as pq
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

LEVELS = {
    "L0": "bytes and signatures",
    "L1": "structure and statistics",
    "L2": "record hashes, chain, tree",
    "L3": "windows log",
    "L4": "witnesses and timestamps",
    "L5": "completeness",
    "L6": "approvals by people",
}
NOT_CHECKED, PASS, FAIL = "NOT CHECKED", "PASS", "FAIL"
NOTE_NAME, TIMESTAMP_NAME = "ledger.note", "ledger.tsr"
LOG_FOLDER, CHECKPOINT_NAME, COSIGNED_NAME = "_log", "checkpoint", "cosigned"
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
ENTRIES_MAX = 1 << 30
TILE_WIDTH = 256
FOLDERS_MAX = 8
SMALL_FILE_BYTES_MAX = 32 << 20
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z", re.ASCII)
KIND = re.compile(r"[a-z][a-z0-9_]{0,31}\Z", re.ASCII)
HEX_32 = re.compile(r"[0-9a-f]{64}\Z", re.ASCII)
KEY_ID = re.compile(r"[0-9a-f]{16}\Z", re.ASCII)
DECIMAL = re.compile(r"(0|[1-9][0-9]{0,19})\Z", re.ASCII)
ZERO = bytes(32)


class Bad(Exception):
    """Bytes that are not what their place asks for."""


# What following a Thrift structure raises where a field is missing, of another type or out of range.
MALFORMED = (Bad, KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)


def read_regular(path, limit=SMALL_FILE_BYTES_MAX):
    """Bytes of a file that another may have made: no link is followed, no pipe or device waited for."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as source:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        data = source.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"it is larger than {limit} bytes, which no such file is")
    return data


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
    """A verifier key: Ed25519 of type 1 for logs and ledgers, of type 4 for witnesses."""

    def __init__(self, vkey, type=1):
        parts = vkey.strip().split("+", 2)
        if len(parts) != 3 or not parts[0] or any(c.isspace() for c in parts[0]):
            raise Bad("not a verifier key: expected NAME+HASH+KEY")
        self.name, self.raw = parts[0], base64_bytes(parts[2])
        if len(self.raw) != 33 or self.raw[0] != type:
            raise Bad(f"not an Ed25519 verifier key of type {type}")
        self.id = sha256(self.name.encode(), b"\n", self.raw)[:4]
        if self.id.hex() != parts[1]:
            raise Bad("the hash in the verifier key is not that of its name and key")
        self.public = Ed25519PublicKey.from_public_bytes(self.raw[1:])

    def __eq__(self, other):
        return (self.name, self.raw) == (other.name, other.raw)

    def __hash__(self):
        return hash((self.name, self.raw))

    def signature(self, line):
        """What stands after the key id in a signature line by this key; None where the line is by another."""
        name, raw = signature_line(line)
        return raw[4:] if name == self.name and raw[:4] == self.id else None

    def signed(self, text, line):
        """Whether a signature line is by this key. One that says so and does not verify is Bad."""
        signature = self.signature(line)
        if signature is None:
            return False
        self.check(signature, text)
        return True

    def check(self, signature, text):
        try:
            self.public.verify(signature, text.encode())
        except InvalidSignature as error:
            raise Bad(f"the signature by {self.name} does not fit the text") from error


def signature_line(line):
    words = line.removeprefix("\u2014 ").split(" ")
    if not line.startswith("\u2014 ") or len(words) != 2:
        raise Bad("a signature line is an em dash, a name and a signature")
    raw = base64_bytes(words[1])
    if len(raw) < 4:
        raise Bad("a signature has a key id")
    return words[0], raw


def split_note(note):
    """The text of a note and its signature lines, whoever signed."""
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
    return note[: end + 1], note[end + 2 :].split("\n")[:-1]


def open_exactly(note, keys):
    """The text of a note whose signature lines are those of `keys`, in this order, and no others."""
    text, lines = split_note(note)
    for key, line in zip(keys, lines):
        if not key.signed(text, line):
            raise Bad(f"no signature by {key.name}")
    if len(lines) != len(keys):
        raise Bad(f"it has {len(lines)} signature lines, not {len(keys)}")
    return text


def open_among(note, key):
    """The text of a note that `key` signed; lines by other keys are passed over."""
    text, lines = split_note(note)
    if not any([key.signed(text, line) for line in lines[:SIGNATURES_MAX]]):
        raise Bad(f"no signature by {key.name}")
    return text


def checkpoint_lines(text):
    """Origin, size, root and the lines after them."""
    lines = text.split("\n")[:-1]
    if len(lines) < 3 or not DECIMAL.match(lines[1]):
        raise Bad("a checkpoint is origin, size and root, a line each")
    root = base64_bytes(lines[2])
    if len(root) != 32:
        raise Bad("a root has 32 bytes")
    return lines[0], int(lines[1]), root, lines[3:]


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


def is_file_key(value):
    return value is None or isinstance(value, str) and KEY_ID.match(value) is not None


def one_of(*words):
    return lambda value: value in words if isinstance(value, str) else False


def list_of(shape, what):
    def fits(value):
        if isinstance(value, list):
            for item in value:
                check_shape(item, shape, what)
        return isinstance(value, list)

    return fits


FILE_SHAPE = {
    "name": is_text, "table": one_of("records", "payloads"), "first_seq": is_count, "records": is_count,
    "rows": is_count, "bytes": is_count, "sha256": is_text, "key": is_file_key,
}  # fmt: skip
MANIFEST_SHAPE = {
    "format": one_of("sealgate/manifest/v1"), "gateway": is_name, "window": is_name, "state": one_of("open", "sealed"),
    "records": is_count, "head": is_text, "counts": is_counts, "files": list_of(FILE_SHAPE, "file"), "software": is_text,
}  # fmt: skip


def check_shape(value, shape, what):
    if not isinstance(value, dict) or value.keys() != shape.keys():
        raise Bad(f"the {what} has other members than this version's")
    for key, fits in shape.items():
        if not fits(value[key]):
            raise Bad(f"{key!r} of the {what} is not what this version knows")


def json_object(encoded, what):
    """A JSON value in its one spelling."""
    try:
        value = json.loads(encoded)
        canonical = canonical_json(value)
    except (ValueError, RecursionError) as error:
        raise Bad(f"the {what} is not JSON: {error}") from error
    if canonical != encoded:
        raise Bad(f"the {what} is not in canonical form")
    return value


def note_size(note):
    """The number of records that a note speaks of, whoever signed it: it says which key should have."""
    return checkpoint_lines(split_note(note)[0])[1]


def open_ledger_note(note, key):
    """The manifest and the root that the note signs."""
    origin, size, root, lines = checkpoint_lines(open_exactly(note, [key]))
    if len(lines) != 1:
        raise Bad("the text is not origin, size, root and one manifest line")
    manifest = json_object(lines[0], "manifest")
    check_shape(manifest, MANIFEST_SHAPE, "manifest")
    if origin != f"sealgate/{manifest['gateway']}/{manifest['window']}" or size != manifest["records"]:
        raise Bad("manifest and checkpoint disagree")
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


# ---- FORMAT.md §10: the windows log -------------------------------------------------------------------------------


def is_time(value):
    return type(value) is int and abs(value) < 1 << 53


def is_flag(value):
    return type(value) is bool


def is_vkey(value):
    try:
        return isinstance(value, str) and Key(value) is not None
    except (Bad, ValueError):
        return False


def is_successor(value):
    if value is not None:
        check_shape(value, {"name": is_text, "sha256": is_hash, "bytes": is_count}, "successor")
    return True


REDACTED_FILE = {"name": is_text, "sha256": is_hash, "successor": is_successor}
ENTRY_SHAPES = {
    "key": {"action": one_of("adopt", "revoke"), "key": is_vkey, "from": is_count, "reason": is_text},
    "open": {"window": is_name, "key": is_vkey, "records": is_count, "root": is_hash},
    "head": {"window": is_name, "records": is_count, "root": is_hash},
    "seal": {"window": is_name, "records": is_count, "root": is_hash, "note": lambda note: note is None or is_hash(note)},
    "redaction": {
        "window": is_name, "action": one_of("erase", "payloads", "shred", "records"), "authority": is_text, "reason": is_text,
        "fields": is_counts, "files": list_of(REDACTED_FILE, "redacted file"),
    },
    "hold": {"window": is_name, "set": is_flag, "authority": is_text, "reason": is_text},
    "timestamp": {"window": is_name, "sha256": is_hash},
}  # fmt: skip


def decode_entry(raw):
    """One entry of the log. One entry has one spelling."""
    try:
        entry = json_object(raw.decode("utf-8"), "entry")
    except UnicodeDecodeError as error:
        raise Bad("the entry is not UTF-8") from error
    shape = ENTRY_SHAPES.get(entry.get("type") if isinstance(entry, dict) and is_text(entry.get("type")) else None)
    if shape is None:
        raise Bad("it is no entry of a type that this version knows")
    check_shape(entry, {"time": is_time, "type": is_text, **shape}, "entry")
    if entry["type"] == "seal" and (entry["note"] is None) != (entry["records"] == 0):
        raise Bad("a seal has a note where it has records")
    return entry


def tile_path(kind, index, width):
    """Where a tile lies: `tile/0/x001/234.p/5`."""
    groups = [f"{index % 1000:03}"]
    while index := index // 1000:
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{kind}/{'/'.join(groups)}" + ("" if width == TILE_WIDTH else f".p/{width}")


def read_bundle(data, width):
    """The entries of a bundle, each after its length."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise Bad("an entry ends beyond the file")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise Bad(f"it holds {len(entries)} entries, not {width}")
    return entries


def tile_hashes(leaves):
    """The hashes of each level of tiles: the leaves, then the roots of each complete 256, of each complete 65,536, ..."""
    level = leaves
    while level:
        yield level
        below, level = level, []
        for first in range(0, len(below) - TILE_WIDTH + 1, TILE_WIDTH):
            nodes = below[first : first + TILE_WIDTH]
            while len(nodes) > 1:
                nodes = [sha256(b"\1", left, right) for left, right in zip(nodes[::2], nodes[1::2])]
            level += nodes


def parse_checkpoint(note):
    """A log's checkpoint: three lines, whoever signed them."""
    origin, size, root, more = checkpoint_lines(split_note(note)[0])
    if more:
        raise Bad("a checkpoint of a log has three lines")
    return origin, size, root


class Window:
    """What the log says of one window."""

    def __init__(self):
        self.keys, self.heads, self.seal, self.redactions, self.held, self.timestamp = [], [], None, [], False, None
        self.told = 0  # entries of the log up to the last one that says how far the ledger had grown

    def key_of(self, records):
        """The key whose note of so many records counts."""
        return next((key for at, _, key in reversed(self.keys) if at < records), None)

    def length(self):
        """The fewest records that the ledger had."""
        bound = self.keys[-1][0] if self.keys else 0
        return self.seal["records"] if self.seal else max(bound, self.heads[-1][0] if self.heads else 0)

    def marks(self):
        """Sizes and roots that the log names."""
        seal = [(self.seal["records"], bytes.fromhex(self.seal["root"]))] if self.seal else []
        return [(at, root) for at, root, _ in self.keys] + self.heads + seal

    def is_empty(self):
        """Whether it was opened and sealed without ever having a record."""
        return self.seal is not None and self.seal["records"] == 0

    def lost(self, action):
        return any(redaction["action"] == action for _, redaction in self.redactions)

    def take(self, index, entry):
        """Takes a further entry of this window; Bad where it can't stand there."""
        kind = entry["type"]
        if self.seal and kind in ("head", "seal"):
            raise Bad("the window is sealed already")
        if not self.seal and kind in ("redaction", "timestamp"):
            raise Bad(f"a {kind} is about a sealed window")
        if kind == "head":
            if entry["records"] <= self.length():
                raise Bad("a head is above the one before it")
            self.heads.append((entry["records"], bytes.fromhex(entry["root"])))
            self.told = index + 1
        elif kind == "seal":
            if entry["records"] < self.length():
                raise Bad("a seal has fewer records than the last head")
            self.seal, self.told = entry, index + 1
        elif kind == "hold":
            if entry["set"] == self.held:
                raise Bad("a hold changes what stood before")
            self.held = entry["set"]
        elif kind == "timestamp":
            self.timestamp = entry["sha256"]
        else:
            self.redact(index, entry)

    def redact(self, index, entry):
        if self.held:
            raise Bad("a hold stands: nothing may be taken away")
        # Files that one entry does not hold are taken away by several.
        if self.is_empty() or self.lost("records") and entry["action"] != "records":
            raise Bad("there is nothing left to take away")
        erases = entry["action"] == "erase"
        if any((file["successor"] is not None) != erases for file in entry["files"]) or entry["fields"] and not erases:
            raise Bad("an erasure has successors and fields, nothing else has")
        self.redactions.append((index, entry))


class Log:
    """The windows log of one gateway: what it says, and what does not hold."""

    def __init__(self, folder, gateway):
        self.folder, self.gateway, self.origin = folder, gateway, f"sealgate/{gateway}"
        self.size, self.tree, self.roots, self.leaves = 0, Tree(), {}, []
        self.identities, self.windows, self.bound = [], {}, set()  # identities: {"key", "from", "revoked"}
        self.findings, self.pinned, self.cosigned, self.witnesses = [], False, None, NOT_CHECKED

    def find(self, place, what, level="L3"):
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append({"level": level, "place": f"{LOG_FOLDER}/{place}", "what": what})

    def fails(self):
        return any(finding["level"] == "L3" for finding in self.findings)

    def read(self, name):
        try:
            return read_regular(self.folder / name)
        except OSError as error:
            raise Bad(f"it can't be read: {error.strerror}") from error

    def verify(self, keys, pins):
        own = []
        for pin in pins:
            try:
                own += [(pin, parse_checkpoint(pin))] if parse_checkpoint(pin)[0] == self.origin else []
            except Bad as error:
                self.find("", f"a pinned checkpoint can't be read: {error}")
        try:
            note = self.read(CHECKPOINT_NAME)
            origin, self.size, root = parse_checkpoint(note)
            if self.size > ENTRIES_MAX:
                raise Bad("it has more than ENTRIES_MAX entries")
        except Bad as error:
            self.size = 0
            return self.find(CHECKPOINT_NAME, str(error))
        if origin != self.origin:
            self.find(CHECKPOINT_NAME, f"it is of {origin}, the folder is that of {self.gateway}")
        self.read_cosigned()
        wanted = {size for _, (_, size, _) in own} | ({self.cosigned[1]} if self.cosigned else set())
        self.read_entries(wanted)
        if len(self.leaves) != self.size or self.tree.root() != root:
            self.find(CHECKPOINT_NAME, "the entries do not have the signed root")
        self.check_tiles()
        self.check_files()
        self.check_signer(note)
        self.check_handovers()
        self.check_trust(keys)
        for pin, checkpoint in own:
            self.pinned = True
            self.check_older("a pinned checkpoint", pin, checkpoint)
        if self.cosigned:
            self.check_older(COSIGNED_NAME, self.cosigned[0], (self.origin, *self.cosigned[1:]))

    def read_cosigned(self):
        """The checkpoint that witnesses cosigned, as (note, size, root)."""
        if not os.path.lexists(self.folder / COSIGNED_NAME):
            return
        try:
            note = self.read(COSIGNED_NAME)
            origin, size, root = parse_checkpoint(note)
            if origin != self.origin:
                raise Bad("it is of another log")
            self.cosigned = note, size, root
        except Bad as error:
            self.find(COSIGNED_NAME, str(error))

    def read_entries(self, wanted):
        """Takes in the entries, bundle by bundle; stops at the first bundle that can't be read."""
        if 0 in wanted:
            self.roots[0] = self.tree.root()
        for first in range(0, self.size, TILE_WIDTH):
            width = min(TILE_WIDTH, self.size - first)
            path = tile_path("entries", first // TILE_WIDTH, width)
            try:
                entries = read_bundle(self.read(path), width)
            except Bad as error:
                return self.find(path, str(error))
            for raw in entries:
                index = len(self.leaves)
                self.leaves.append(sha256(b"\0", raw))
                self.tree.push(raw)
                try:
                    self.take(index, decode_entry(raw))
                except Bad as error:
                    self.find(path, f"entry {index}: {error}")
                adopted = self.identities and self.identities[-1]["from"] == self.tree.size
                if adopted or self.tree.size in wanted:
                    self.roots[self.tree.size] = self.tree.root()

    def take(self, index, entry):
        """The grammar of the log. What is not taken changes nothing."""
        if entry["type"] == "key":
            return self.take_key(index, entry)
        if not self.identities:
            raise Bad("entry 0 adopts the first identity key, and does not here")
        if entry["type"] == "open":
            return self.open(index, entry)
        if entry["window"] not in self.windows:
            raise Bad("no entry before it opens the window")
        self.windows[entry["window"]].take(index, entry)

    def take_key(self, index, entry):
        key = Key(entry["key"])
        if entry["action"] == "adopt":
            if (index == 0) != (not self.identities):
                raise Bad("entry 0 adopts the first identity key, and does not here")
            if entry["from"] != index + 1 or key.name != self.origin or any(key == known["key"] for known in self.identities):
                raise Bad("an identity key is named after its gateway, signs from its entry on, and is adopted once")
            self.identities.append({"key": key, "from": index + 1, "revoked": None})
            return
        known = next((known for known in self.identities[:-1] if known["key"] == key), None)
        if known is None or entry["from"] > index or known["revoked"] is not None and entry["from"] > known["revoked"]:
            raise Bad("a revocation is of an older key, counts from an entry before it, and is not taken back")
        known["revoked"] = entry["from"]

    def open(self, index, entry):
        key, at, root = Key(entry["key"]), entry["records"], bytes.fromhex(entry["root"])
        window = self.windows.get(entry["window"]) or Window()
        if window.seal:
            raise Bad("the window is sealed already")
        if key.name != f"{self.origin}/{entry['window']}" or key in self.bound:
            raise Bad("a window key is named after its window, and bound once")
        if at < window.keys[-1][0] if window.keys else at != 0:
            raise Bad("a window is opened without records, and goes on from where it was")
        if at == 0 and root != sha256():
            raise Bad("a window is opened without records, and goes on from where it was")
        self.bound.add(key)
        window.keys.append((at, root, key))
        window.told = index + 1
        self.windows[entry["window"]] = window

    def check_tiles(self):
        """The hash tiles hold the hashes of the entries."""
        for level, hashes in enumerate(tile_hashes(self.leaves)):
            for first in range(0, len(hashes), TILE_WIDTH):
                expected = hashes[first : first + TILE_WIDTH]
                path = tile_path(level, first // TILE_WIDTH, len(expected))
                try:
                    if self.read(path) != b"".join(expected):
                        self.find(path, "it does not hold the hashes of the entries")
                except Bad as error:
                    self.find(path, str(error))

    def check_files(self):
        """The folder holds what the log's size calls for, and nothing else."""
        expected, count, level = {CHECKPOINT_NAME, *([COSIGNED_NAME] if self.cosigned else [])}, self.size, "entries"
        expected |= {f"handover-{known['from']:012}" for known in self.identities[1:]}
        # Where entries are missing, which is found already, the size is but a claim, and as many names are not made from it.
        whole = len(self.leaves) == self.size
        while count and whole:
            expected |= {tile_path(level, at // TILE_WIDTH, min(TILE_WIDTH, count - at)) for at in range(0, count, TILE_WIDTH)}
            count, level = (count, 0) if level == "entries" else (count // TILE_WIDTH, level + 1)
        left = [""]
        while left:
            below = left.pop()
            try:
                names = list(os.scandir(self.folder / below))
            except OSError as error:
                self.find(below, f"it can't be listed: {error.strerror}")
                continue
            for item in names:
                path = f"{below}/{item.name}" if below else item.name
                # An empty folder holds nothing that could mislead.
                if item.is_dir(follow_symlinks=False) and path.count("/") < FOLDERS_MAX:
                    left.append(path)
                elif path not in expected and (whole or not path.startswith("tile/")):
                    self.find(path, "a log of this size does not have it")

    def identity_of(self, size):
        """The identity key that signs checkpoints of so many entries."""
        return next((known for known in reversed(self.identities) if known["from"] <= size), None)

    def check_signer(self, note):
        signer = self.identity_of(self.size)
        try:
            if signer is None:
                raise Bad("the log names no identity key")
            open_exactly(note, [signer["key"]])
        except Bad as error:
            self.find(CHECKPOINT_NAME, str(error))

    def check_handovers(self):
        for before, adopted in zip(self.identities, self.identities[1:]):
            name = f"handover-{adopted['from']:012}"
            try:
                note = self.read(name)
                open_exactly(note, [before["key"], adopted["key"]])
                if parse_checkpoint(note) != (self.origin, adopted["from"], self.roots.get(adopted["from"])):
                    raise Bad("it is not the checkpoint that ends with the new key's entry")
            except Bad as error:
                self.find(name, str(error))

    def check_trust(self, keys):
        """The caller's key is one of the log's, and leads to the newest."""
        given = [place for place, known in enumerate(self.identities) if known["key"] in keys]
        if not given:
            what = "none of this log's identity keys" if any(key.name == self.origin for key in keys) else "of another gateway"
            return self.find(CHECKPOINT_NAME, f"the key given is {what}")
        known, following = self.identities[given[-1]], self.identities[given[-1] + 1 :]
        if following and known["revoked"] is not None and known["revoked"] < following[0]["from"]:
            self.find(CHECKPOINT_NAME, f"the key given was revoked from {known['revoked']} entries on, before it handed over")

    def check_older(self, place, note, checkpoint):
        """An earlier checkpoint: this log goes on from it, and a key signed it that counts at its size."""
        origin, size, root = checkpoint
        if size > self.size:
            return self.find(CHECKPOINT_NAME, f"{place} has {size} entries, the log here ends at {self.size}")
        if origin != self.origin or self.roots.get(size) != root:
            return self.find(CHECKPOINT_NAME, f"this log does not go on from {place}: it is another one")
        signer = self.identity_of(size)
        try:
            if signer is None or signer["revoked"] is not None and size > signer["revoked"]:
                raise Bad("no identity key counts at its size")
            open_among(note, signer["key"])
        except Bad as error:
            self.find(CHECKPOINT_NAME, f"{place}: {error}")

    def report(self):
        return {
            "gateway": self.gateway, "size": self.size, "root": self.tree.root().hex(), "pinned": self.pinned,
            "levels": {"L3": FAIL if self.fails() else PASS if self.pinned else NOT_CHECKED, "L4": self.witnesses},
            "findings": self.findings,
        }  # fmt: skip


# ---- FORMAT.md §11: files as redactions left them ---------------------------------------------------------------------


def file_name(file, revision=0):
    return f"{file['table']}-{file['first_seq']:012}" + (f".r{revision}" if revision else "") + ".parquet"


def standing_files(manifest, redactions):
    """What stands there of the manifest's files, each with the name and bytes that it has now, and what does not fit."""
    files = [{**file, "sealed": file["name"], "name": file_name(file), "revision": 0} for file in manifest["files"]]
    wrong = []
    for index, redaction in redactions:
        wrong += [(index, what) for what in redact(files, redaction)]
    # One action may come as several entries; together they take everything that they say.
    for action, tables in (("payloads", ["payloads"]), ("records", ["payloads", "records"])):
        last = next((index for index, redaction in reversed(redactions) if redaction["action"] == action), None)
        if last is not None and any(file["table"] in tables for file in files):
            wrong.append((last, "what it takes away and the files that it names do not fit"))
    return files, wrong


def redact(files, redaction):
    """Applies one redaction to `files`; yields what does not fit."""
    action = redaction["action"]
    for gone in redaction["files"]:
        file = next((file for file in files if (file["name"], file["sha256"]) == (gone["name"], gone["sha256"])), None)
        if file is None:
            yield f"no file {gone['name']} with that hash stood there"
        elif gone["successor"] is None:
            if action == "payloads" and file["table"] != "payloads":
                yield "it takes records away, and says payloads"
            files.remove(file)
        elif file["table"] != "payloads":
            yield "records are not erased field by field"
        else:
            file["revision"] += 1
            file["name"] = file_name(file, file["revision"])
            if gone["successor"]["name"] != file["name"]:
                yield f"{gone['successor']['name']} is not the next name of {gone['name']}"
            file["sha256"], file["bytes"] = gone["successor"]["sha256"], gone["successor"]["bytes"]
    if action == "shred" and (redaction["files"] or any(f["table"] == "payloads" and f["key"] is None for f in files)):
        yield "only encrypted payloads are shredded, and their files stay"


# ---- FORMAT.md §14: what people signed ----------------------------------------------------------------------------------

STATEMENT_FORMAT, NAMESPACE = "sealgate/statement/v1", "sealgate"
STATEMENT_BYTES_MAX, TEXT_BYTES_MAX, NAME_BYTES_MAX, NEEDS_MAX = 32 << 10, 2048, 256, 64
KEY_BYTES_MAX, ARMOUR_BYTES_MAX, SIGNERS_BYTES_MAX, RSA_BITS = 2048, 8 << 10, 1 << 20, range(2048, 8193)
DETAIL_DEPTH_MAX = 127
GRACE_MICROS = 60_000_000
INSTANT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z\Z", re.ASCII)
COMPACT_INSTANT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?Z\Z", re.ASCII)
UNSEEN = re.compile(
    "[\0-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000e0000-\U000e0fff]"
)
CURVES = {"nistp256": (ec.SECP256R1, hashes.SHA256, 32), "nistp384": (ec.SECP384R1, hashes.SHA384, 48), "nistp521": (ec.SECP521R1, hashes.SHA512, 66)}
SECURITY_KEYS = ("sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com")
RSA_WAYS = {"rsa-sha2-256": hashes.SHA256, "rsa-sha2-512": hashes.SHA512}


class Wire:
    """Bytes in the wire form of SSH (RFC 4251 §5), from the front."""

    def __init__(self, data):
        self.data = data

    def take(self, length):
        taken, self.data = self.data[:length], self.data[length:]
        if len(taken) != length:
            raise Bad("it ends too early")
        return taken

    def unsigned(self):
        return int.from_bytes(self.take(4), "big")

    def string(self):
        return self.take(self.unsigned())

    def name(self):
        return self.string().decode("utf-8", "replace")

    def number(self):
        """A positive mpint in its shortest form, as bytes without a sign."""
        raw = self.string()
        if len(raw) > 1 and raw[0] == 0 and raw[1] & 0x80:
            return raw[1:]
        if not raw or not 0 < raw[0] < 0x80:
            raise Bad("a number in it is not positive or not in its shortest form")
        return raw

    def end(self):
        if self.data:
            raise Bad("something follows its end")


def wire_string(data):
    return len(data).to_bytes(4, "big") + data


class PersonKey:
    """A public key of a person, by the bytes that OpenSSH has for it."""

    def __init__(self, blob):
        if len(blob) > KEY_BYTES_MAX:
            raise Bad("the key is longer than any key")
        self.blob, wire = blob, Wire(blob)
        self.kind, self.application, self.hash = wire.name(), None, None
        if self.kind == "ssh-rsa":
            self.read_rsa(wire)
        elif self.kind in ("ssh-ed25519", SECURITY_KEYS[0]):
            self.public = Ed25519PublicKey.from_public_bytes(sized(wire.string(), 32))
        elif self.kind == SECURITY_KEYS[1] or self.kind.startswith("ecdsa-sha2-") and self.kind[11:] in CURVES:
            self.read_curve(wire, "nistp256" if self.kind in SECURITY_KEYS else self.kind[11:])
        else:
            raise Bad(f"keys of the kind {self.kind[:64]!r} are not taken")
        if self.kind in SECURITY_KEYS:
            self.application = wire.string()
        wire.end()
        self.fingerprint = "SHA256:" + base64.b64encode(sha256(blob)).decode().rstrip("=")

    def read_rsa(self, wire):
        exponent, modulus = int.from_bytes(wire.number(), "big"), int.from_bytes(wire.number(), "big")
        if modulus.bit_length() not in RSA_BITS or not 65537 <= exponent < 1 << 32 or exponent % 2 == 0:
            raise Bad("an RSA key of that size or exponent is not taken")
        self.numbers = exponent, modulus

    def read_curve(self, wire, name):
        curve, self.hash, self.bytes = CURVES[name]
        if wire.name() != name:
            raise Bad("the key's curve is not that of its kind")
        self.curve, self.point = curve(), sized(wire.string(), 2 * self.bytes + 1)
        if self.point[0] != 4:
            raise Bad("the key is no uncompressed point")

    def verify(self, message, signature):
        """Raises Bad where a signature blob (RFC 4253 §6.6) is not this key's over the message."""
        wire = Wire(signature)
        way, signed = wire.name(), wire.string()
        if self.application is not None:
            flags, counter = wire.take(1), wire.take(4)
            if not flags[0] & 1:
                raise Bad("the security key signed without being touched")
            message = sha256(self.application) + flags + counter + sha256(message)
        wire.end()
        if way not in (RSA_WAYS if self.kind == "ssh-rsa" else (self.kind,)):
            raise Bad("it is signed in a way that the key is not for")
        try:
            self.check(message, way, signed)
        except (InvalidSignature, ValueError) as error:
            raise Bad("the signature is not this key's over these bytes") from error

    def check(self, message, way, signed):
        if self.kind == "ssh-rsa":
            exponent, modulus = self.numbers
            length = (modulus.bit_length() + 7) // 8
            public = rsa.RSAPublicNumbers(exponent, modulus).public_key()
            # Some agents leave out leading zero bytes.
            return public.verify(sized(signed.rjust(length, b"\0"), length), message, PKCS1v15(), RSA_WAYS[way]())
        if self.hash is None:
            return self.public.verify(signed, message)
        wire = Wire(signed)
        r, s = wire.number(), wire.number()
        wire.end()
        public = ec.EllipticCurvePublicKey.from_encoded_point(self.curve, self.point)
        pair = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        return public.verify(pair, message, ec.ECDSA(self.hash()))


def sized(data, length):
    if len(data) != length:
        raise Bad(f"{length} bytes are due, {len(data)} are there")
    return data


def key_of_line(line):
    """Reads `KIND BASE64`, as a .pub file has them; a comment may follow."""
    words = line.split(maxsplit=2)
    if len(words) < 2:
        raise Bad("a key is a kind and its base64")
    key = PersonKey(base64_bytes(words[1]))
    if key.kind != words[0]:
        raise Bad("the key is of another kind than it says")
    return key


ARMOUR = "-----BEGIN SSH SIGNATURE-----\n", "-----END SSH SIGNATURE-----\n"


def check_signature(text, armoured):
    """The key that signed a text, by PROTOCOL.sshsig; Bad where none did."""
    if len(armoured.encode()) > ARMOUR_BYTES_MAX or not armoured.startswith(ARMOUR[0]) or not armoured.endswith(ARMOUR[1]):
        raise Bad("it is no armoured SSH signature")
    encoded = armoured[len(ARMOUR[0]) : -len(ARMOUR[1])].replace("\n", "")
    if "".join(encoded[at : at + 70] + "\n" for at in range(0, len(encoded), 70)) != armoured[len(ARMOUR[0]) : -len(ARMOUR[1])]:
        raise Bad("its lines are not those that ssh-keygen makes")
    wire = Wire(base64_bytes(encoded))
    if wire.take(6) != b"SSHSIG" or wire.unsigned() != 1:
        raise Bad("it is of another format or version")
    key, namespace, reserved, hash_name, signature = (wire.string() for _ in range(5))
    wire.end()
    if namespace != NAMESPACE.encode() or reserved or hash_name not in (b"sha256", b"sha512"):
        raise Bad("it is made for something else, holds something reserved, or is over another hash")
    key = PersonKey(key)
    digest = hashlib.new(hash_name.decode(), text).digest()
    key.verify(b"SSHSIG" + b"".join(map(wire_string, (namespace, b"", hash_name, digest))), signature)
    return key


def instant(text, form=INSTANT):
    """Microseconds since 1970 of an instant of the years 1970 to 9999; None where it is none."""
    match = form.match(text) if isinstance(text, str) else None
    try:
        since = datetime(*(int(part or 0) for part in match.groups()), tzinfo=timezone.utc) - EPOCH if match else None
    except ValueError:
        return None
    return None if since is None or since.days < 0 else (since.days * 86_400 + since.seconds) * 1_000_000


EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ACTS = "request", "approve", "deny", "extend", "review", "revoke"


def is_plain(most):
    return lambda value: is_text(value) and value.strip(" ") != "" and len(value.encode()) <= most and not UNSEEN.search(value)


def or_null(fits):
    return lambda value: value is None or fits(value)


def is_number(low, high):
    return lambda value: type(value) is int and low <= value <= high


PLAIN_NAME, PLAIN_TEXT = is_plain(NAME_BYTES_MAX), is_plain(TEXT_BYTES_MAX)
STATEMENT_SHAPE = {
    "format": one_of(STATEMENT_FORMAT), "act": one_of(*ACTS), "signer": PLAIN_NAME, "remark": or_null(PLAIN_TEXT), "gateway": is_name,
    "window": is_name, "request": or_null(PLAIN_NAME), "session": or_null(PLAIN_NAME), "principal": PLAIN_NAME,
    "principal_kind": one_of("human", "workload", "agent"), "acting_for": or_null(PLAIN_NAME), "basis": PLAIN_TEXT,
    "account": or_null(PLAIN_NAME), "role": or_null(PLAIN_NAME), "requester": PLAIN_NAME, "reason": PLAIN_TEXT,
    "seconds": or_null(is_number(1, (1 << 32) - 1)), "needs": or_null(is_number(0, NEEDS_MAX)),
    "opens_before": or_null(lambda value: instant(value) is not None),
}  # fmt: skip


def read_statement(text):
    """A statement of its one spelling, without its newline."""
    if len(text.encode()) > STATEMENT_BYTES_MAX:
        raise Bad("the statement is longer than any")
    statement = json_object(text, "statement")
    check_shape(statement, STATEMENT_SHAPE, "statement")
    act, is_null = statement["act"], {name: statement[name] is None for name in STATEMENT_SHAPE}
    late = act in ("review", "revoke")
    if any(is_null[name] != late for name in ("request", "seconds", "needs")) or late and not is_null["opens_before"]:
        raise Bad("it has not what its act has, or more")
    if act == "approve" and not is_null["session"] or act in ("extend", "review", "revoke") and is_null["session"]:
        raise Bad("its act needs a session, or can't have one")
    if act in ("deny", "review", "revoke") and is_null["remark"] or statement["needs"] == 0 and act != "request":
        raise Bad("it does not say why, or needs nothing")
    return statement


def matches(text, pattern):
    """`*` any bytes, `?` one."""
    pieces = pattern.split(b"*")
    if len(pieces) == 1:
        return fits_at(text, 0, pattern) and len(text) == len(pattern)
    first, *inner, last = pieces
    at, end = len(first), len(text) - len(last)
    if at > end or not fits_at(text, 0, first) or not fits_at(text, end, last):
        return False
    for piece in inner:
        at = next((place for place in range(at, end - len(piece) + 1) if fits_at(text, place, piece)), None)
        if at is None:
            return False
        at += len(piece)
    return True


def fits_at(text, at, piece):
    return len(text) - at >= len(piece) and all(wanted in (b"?"[0], text[at + place]) for place, wanted in enumerate(piece))


def in_list(text, patterns):
    """Whether one of the patterns takes a text, and none with `!`."""
    pairs = [(pattern.startswith("!"), matches(text.encode(), pattern.removeprefix("!").encode())) for pattern in patterns]
    return any(taken for negated, taken in pairs if not negated) and not any(taken for negated, taken in pairs if negated)


def first_word(line):
    """The first word of a line, quotes kept together, and what follows its blanks."""
    quoted = False
    for at, char in enumerate(line):
        quoted ^= char == '"'
        if not quoted and char in " \t":
            if at:
                return line[:at], line[at:].lstrip()
            break
    raise Bad("write PRINCIPALS [OPTIONS] KIND KEY")


def split_unquoted(text):
    parts = text.split('"')
    # Commas between an odd quote and the next one do not separate.
    parts[::2] = [part.replace(",", "\n") for part in parts[::2]]
    return '"'.join(parts).split("\n")


class SignerLine:
    """One line of a file of signers."""

    def __init__(self, line):
        self.namespaces = self.after = self.before = None
        names, rest = first_word(line)
        self.principals = names.strip('"').split(",")
        if any(not pattern.lstrip("!") for pattern in self.principals):
            raise Bad("a principal without a name")
        if (rest.split(maxsplit=1) or [""])[0] not in KINDS:
            options, rest = first_word(rest)
            for option in split_unquoted(options):
                self.option(*option.partition("=")[::2])
        self.key = key_of_line(rest)
        if None not in (self.after, self.before) and self.before <= self.after:
            raise Bad("valid-before is not after valid-after")

    def option(self, name, value):
        field = {"namespaces": "namespaces", "valid-after": "after", "valid-before": "before"}.get(name.lower())
        if field is None:
            raise Bad(f"the option {name!r} is not taken")
        if len(value) > 1 and value[0] == value[-1] == '"':
            value = value[1:-1]
        read = value.split(",") if field == "namespaces" else instant(value, COMPACT_INSTANT)
        if not value or not read or getattr(self, field) is not None:
            raise Bad(f"{name} has no value that is taken, or stands there twice")
        setattr(self, field, read)

    def allows(self, at):
        second = at // 1_000_000
        early = self.after is not None and second < self.after // 1_000_000
        late = self.before is not None and second > self.before // 1_000_000
        return (self.namespaces is None or in_list(NAMESPACE, self.namespaces)) and not early and not late


KINDS = ("ssh-ed25519", "ssh-rsa", *(f"ecdsa-sha2-{curve}" for curve in CURVES), *SECURITY_KEYS)


class Signers:
    """OpenSSH's `allowed_signers`: whose key is whose."""

    def __init__(self, text):
        if len(text.encode()) > SIGNERS_BYTES_MAX:
            raise Bad("the file of signers is longer than 1 MiB")
        self.lines = []
        for number, line in enumerate(text.split("\n"), 1):
            line = line.strip()
            if line and not line.startswith("#"):
                try:
                    self.lines.append(SignerLine(line))
                except Bad as error:
                    raise Bad(f"line {number}: {error}") from error

    def finds(self, name, key, at):
        return any(line.key.blob == key.blob and in_list(name, line.principals) and line.allows(at) for line in self.lines)

    def mentions(self, name, key):
        return any(line.key.blob == key.blob or name in line.principals for line in self.lines)

    def names(self, key, at):
        """The names that the file spells out for a key."""
        lines = [line for line in self.lines if line.key.blob == key.blob and line.allows(at)]
        plain = lambda name: name and not name.startswith("!") and "*" not in name and "?" not in name  # noqa: E731
        return {name for line in lines for name in line.principals if plain(name) and in_list(name, line.principals)}


def refuse_constant(word):
    raise ValueError(f"{word} is no JSON")


def finite(number):
    if float(number) in (float("inf"), float("-inf")):
        raise ValueError("a number out of range")
    return float(number)


def whole(number):
    finite(number)
    return int(number)


def detail_of(row):
    """The `detail` of a record as an object; empty where it is none."""
    try:
        detail = json.loads(row["detail"] or "null", parse_constant=refuse_constant, parse_float=finite, parse_int=whole)
        json.dumps(detail, ensure_ascii=False).encode()  # a half of a surrogate pair is no text
    except (ValueError, OverflowError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) and depth_of(detail) <= DETAIL_DEPTH_MAX else {}


def depth_of(value):
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, (dict, list))]:
        level = [item for inner in level for item in (inner.values() if isinstance(inner, dict) else inner)]
        depth += 1
    return depth


ACTS_OF = {
    "session_request": ("request",), "session_open": ("request",), "session_approve": ("approve", "extend"), "session_deny": ("deny",),
    "session_review": ("review",), "session_revoke": ("revoke",),
}  # fmt: skip
MUST_SIGN = "session_approve", "session_review"
WHO = "principal", "principal_kind", "acting_for"


class Said:
    """A statement that holds, and who vouches with it."""

    def __init__(self, row, window, statement, key):
        self.row, self.window, self.statement, self.key = row, window, statement, key
        self.signer, self.names, self.theirs = statement["signer"], {statement["signer"]}, None

    def report(self):
        return {"signer": self.signer, "key": self.key.fingerprint, "key_is_theirs": self.theirs, "seq": self.row["seq"], "window": self.window}


def read_said(ledger, row, detail):
    """The statement of a record: signed, and of what the record says."""
    for name in ("statement", "signature", "signer", "key"):
        if not is_text(detail.get(name)):
            raise Bad(f"its detail has no text {name!r}")
    statement = read_statement(detail["statement"])
    key = check_signature(detail["statement"].encode() + b"\n", detail["signature"])
    if (detail["signer"], detail["key"]) != (statement["signer"], key.fingerprint):
        raise Bad("signer or key are not those of the signed statement")
    if statement["act"] not in ACTS_OF[row["kind"]]:
        raise Bad(f"its statement is to {statement['act']}")
    if statement["gateway"] != ledger.gateway or statement["act"] != "review" and statement["window"] != ledger.window:
        raise Bad("its statement is of another gateway or window")
    if statement["session"] != (None if row["kind"] == "session_open" else row["session"]):
        raise Bad("its statement is of another session")
    if any(statement[name] != row[name] for name in WHO):
        raise Bad("its statement is of another principal")
    if statement["act"] == "request":
        check_request(statement, row, detail)
    return Said(row, ledger.window, statement, key)


def check_request(statement, row, detail):
    if statement["signer"] != statement["requester"]:
        raise Bad("its statement asks in the name of somebody who did not sign")
    if row["kind"] == "session_open":
        if statement["needs"] != 0:
            raise Bad("its statement asks for what others approve")
        detail = {**detail, "requester": statement["requester"]}
    else:
        needs, seconds = (detail.get(name) if is_u64(detail.get(name)) else None for name in ("needs", "duration_seconds"))
        needs = 0 if is_text(detail.get("rule")) else needs
        if (statement["request"], statement["seconds"], statement["needs"]) != (detail.get("request"), seconds, needs):
            raise Bad("its statement asks for something else")
    check_terms(statement, row, detail)


def check_terms(statement, row, terms):
    """Raises Bad where a statement is not of what the record of a session says."""
    requester = terms.get("requester") if terms.get("requester") is not None else terms.get("opened_by")
    due = {**{name: terms.get(name) for name in ("account", "role", "basis", "reason")}, "requester": requester, **{name: row[name] for name in WHO}}
    for name, value in due.items():
        if statement[name] != value:
            raise Bad(f"another {name}")


class Opened:
    """A session, and what it rests on."""

    def __init__(self, row, detail, expires):
        self.row, self.detail, self.expires, self.asked = row, detail, expires, None
        self.ground, self.extensions, self.reviews = None, [], []

    def is_unreviewed(self):
        return self.ground["ground"] == "break_glass" and not self.reviews

    def unapproved(self):
        """The records that give it something that no person signed."""
        for seq, ground in [(self.row["seq"], self.ground), *self.extensions]:
            if ground["ground"] in ("rule", "word") or ground["ground"] == "break_glass" and not self.reviews:
                yield seq

    def take_review(self, said):
        check_terms(said.statement, self.row, self.detail)
        if self.asked and self.asked.key.blob == said.key.blob:
            raise Bad("a session that its own key asked for")
        self.reviews.append(said)

    def report(self):
        return {
            "session": self.row["session"], "seq": self.row["seq"], **{name: self.row[name] for name in WHO},
            "asked_by": self.asked and self.asked.report(), "rests_on": self.ground,
            "extensions": [{"seq": seq, "rests_on": ground} for seq, ground in self.extensions],
            "reviews": [said.report() for said in self.reviews], "unreviewed": self.is_unreviewed(),
        }  # fmt: skip


class ByFile(Bad):
    """What only the caller's file of signers says."""


class People:
    """What the sessions of one ledger rest on."""

    def __init__(self, signers):
        self.signers, self.approvals, self.made, self.requests, self.used = signers, {}, set(), {}, set()
        self.opened, self.by_id, self.reviews = [], {}, []

    def take(self, ledger, row):
        """What does not hold of the next record, as (level, text)."""
        if row["kind"] not in (*ACTS_OF, "session_extend"):
            return []
        faults, detail = [], detail_of(row)
        said = self.read(ledger, row, detail, faults) if row["kind"] in ACTS_OF else None
        if row["kind"] in ("session_request", "session_open", "session_extend") and is_text(detail.get("request")):
            if row["kind"] == "session_request":
                self.made.add(detail["request"])
            elif detail["request"] not in self.made:
                faults.append(("L2", "it rests on a request that no record before it makes"))
        if row["kind"] == "session_extend":
            self.extend(row, detail, faults)
        elif row["kind"] != "session_open":
            self.keep(said, faults)
        elif row["session"] is not None:
            self.keep(said, faults)
            self.open(row, detail, said, faults)
        return faults

    def read(self, ledger, row, detail, faults):
        if row["kind"] not in MUST_SIGN and detail.get("statement") is None:
            return None
        try:
            said = read_said(ledger, row, detail)
        except Bad as error:
            faults.append(("L2", str(error)))
            return None
        statement = said.statement
        if self.signers:
            said.names |= self.signers.names(said.key, row["time"])
            if statement["act"] != "request" or self.signers.mentions(said.signer, said.key):
                said.theirs = self.signers.finds(said.signer, said.key, row["time"])
                if not said.theirs:
                    faults.append(("L6", f"key {said.key.fingerprint} is not {said.signer!r}'s by the file of signers"))
        involved = said.names & {statement["principal"], statement["requester"], statement["acting_for"]}
        if row["kind"] in MUST_SIGN and involved:
            own = said.signer in involved
            faults.append(("L2" if own else "L6", f"{sorted(involved)} sign, who asked, act, or are acted for"))
            return None if own else said
        return said

    def keep(self, said, faults):
        if said is None:
            return
        act = said.statement["act"]
        if act in ("approve", "extend"):
            self.approvals[said.row["seq"]] = said
        elif act == "review":
            self.reviews.append(said)
        elif act == "request":
            if said.statement["request"] in self.requests:
                faults.append(("L2", "what was asked for with this signature was asked for before"))
            self.requests[said.statement["request"]] = said

    def open(self, row, detail, own, faults):
        opened = Opened(row, detail, instant(detail.get("expires")))
        try:
            opened.asked = self.asked(row, detail, own, opened.expires)
        except Bad as error:
            faults.append(("L2", str(error)))
        opened.ground = self.ground(row, detail, detail, opened, faults)
        self.by_id[row["session"]] = opened
        self.opened.append(opened)

    def asked(self, row, detail, own, expires):
        """Who signed that they ask for a session."""
        request, basis = detail.get("request"), detail.get("basis")
        said = own or (self.requests.get(request) if is_text(request) else None)
        key = basis[4:] if is_text(basis) and basis.startswith("ssh ") else None
        if said is None:
            if key is not None:
                raise Bad("its principal is known by an SSH key that did not ask for it")
            return None
        if own is None:
            check_terms(said.statement, row, detail)
        if key not in (None, said.key.fingerprint):
            raise Bad("its principal is known by another SSH key than the one that asked for it")
        if expires is None or expires > row["time"] + said.statement["seconds"] * 1_000_000 + GRACE_MICROS:
            raise Bad("it gives more time than was asked for, or does not say how much")
        return said

    def extend(self, row, detail, faults):
        opened, expires = self.by_id.get(row["session"]), instant(detail.get("expires"))
        terms = {**(opened.detail if opened else {}), **{name: detail.get(name) for name in ("requester", "opened_by", "basis", "reason")}}
        ground = self.ground(row, detail, terms, opened, faults)
        if opened:
            opened.extensions.append((row["seq"], ground))
            opened.expires = expires

    def ground(self, row, detail, terms, opened, faults):
        by = next((detail[name] for name in ("opened_by", "by") if is_text(detail.get(name))), "")
        claims = any(detail.get(name) not in (None, []) for name in ("needs", "approvals"))
        glass, rule = detail.get("break_glass") is True, detail.get("rule") if is_text(detail.get("rule")) else None
        try:
            if claims + glass + (rule is not None) > 1:
                raise Bad("it rests on more than one of: approvals, a rule, break-glass")
            if claims:
                return {"ground": "approvals", "by": [said.report() for said in self.approved(row, detail, terms, opened)]}
        except Bad as error:
            faults.append(("L6" if isinstance(error, ByFile) else "L2", str(error)))
            return {"ground": "word", "word_of": by}
        if glass:
            return {"ground": "break_glass", "word_of": by}
        return {"ground": "word", "word_of": by} if rule is None else {"ground": "rule", "rule": rule}

    def approved(self, row, detail, terms, opened):
        """The approvals that a record names; Bad where they are not enough, not of these terms, or of the same people."""
        needs, seqs = detail.get("needs"), detail.get("approvals")
        if not is_number(1, NEEDS_MAX)(needs) or not isinstance(seqs, list) or len(seqs) > NEEDS_MAX:
            raise Bad("it does not say how many approvals it needs, or names none, or too many")
        counted = []
        for seq in seqs:
            said = self.approvals.get(seq) if type(seq) is int else None
            if said is None:
                raise Bad(f"record {seq} is no approval that holds and stands before it")
            self.check_approval(said, row, detail, terms, opened)
            if any(other.signer == said.signer or other.key.blob == said.key.blob for other in counted):
                raise Bad(f"record {seq} and another are approvals by one person")
            if any(other.names & said.names for other in counted):
                raise ByFile(f"record {seq} and another are approvals by one person, by the names of their keys")
            counted.append(said)
        if len(counted) < needs:
            raise Bad(f"it needs {needs} approvals and has {len(counted)}")
        self.check_time(row, detail, opened, counted)
        request = counted[0].statement["request"]
        if request in self.used:
            raise Bad("another record rests on the same request")
        self.used.add(request)
        return counted

    @staticmethod
    def check_approval(said, row, detail, terms, opened):
        statement, place = said.statement, f"the approval in record {said.row['seq']} is of"
        extends = row["kind"] == "session_extend"
        if statement["act"] != ("extend" if extends else "approve") or extends and statement["session"] != row["session"]:
            raise Bad(f"{place} something else, or of another session")
        if (statement["request"], statement["needs"]) != (detail.get("request"), detail.get("needs")):
            raise Bad(f"{place} another request, or one that needs more or fewer approvals")
        try:
            check_terms(statement, row, terms)
        except Bad as error:
            raise Bad(f"{place} {error}") from error
        if not extends and opened.asked and opened.asked.key.blob == said.key.blob:
            raise Bad(f"{place} what its own key asks for")
        if statement["opens_before"] is not None and said.row["time"] >= instant(statement["opens_before"]) + GRACE_MICROS:
            raise Bad(f"{place} a time at which it did not count any more")

    @staticmethod
    def check_time(row, detail, opened, counted):
        if row["kind"] == "session_extend":
            start = opened.expires if opened else None
        else:
            start = max(said.row["time"] for said in counted) + GRACE_MICROS
        expires, seconds = instant(detail.get("expires")), min(said.statement["seconds"] for said in counted)
        if None in (expires, start) or expires > start + seconds * 1_000_000:
            raise Bad("it gives more time than was approved, or does not say how much")


def review(ledgers):
    """Hands each review to the session that it is of, which another window of the gateway may have opened."""
    for ledger in ledgers:
        for said in ledger.people.reviews:
            home = next((other for other in ledgers if other.window == said.statement["window"]), None)
            if home is None:
                continue
            mine = [opened for opened in home.people.opened if opened.row["session"] == said.statement["session"]]
            mine = [opened for opened in mine if home is not ledger or opened.row["seq"] < said.row["seq"]]
            try:
                if not mine:
                    raise Bad("a session that its window does not open before it")
                mine[-1].take_review(said)
            except Bad as error:
                ledger.find_record(said.row["seq"], f"it is a review of {error}")


# ---- FORMAT.md §8: the walk over one ledger -----------------------------------------------------------------------------


class Ledger:
    """Findings and verdicts for one ledger."""

    def __init__(self, gateway, window, signers=None):
        self.gateway, self.window, self.state, self.records, self.root = gateway, window, None, 0, None
        self.people, self.walked = People(signers), False
        self.levels = dict.fromkeys(LEVELS, NOT_CHECKED)
        self.findings, self.left_out = [], 0
        self.tree, self.head, self.due = Tree(), ZERO, 0
        self.counts, self.open, self.closed = Counter(), set(), False
        self.marks, self.erased, self.kept = {}, Counter(), "none"

    def find(self, level, place, what, seq=None):
        # Of each level that fails one finding is always kept.
        if len(self.findings) < FINDINGS_MAX or self.levels[level] != FAIL:
            self.findings.append({"level": level, "seq": seq, "place": place, "what": what})
        else:
            self.left_out += 1
        self.levels[level] = FAIL

    def find_record(self, seq, what, level="L2"):
        self.find(level, f"record {seq}", what, seq)

    def verify(self, folder, log):
        window = log.windows.get(self.window)
        if window is None:
            return self.find("L3", "window", "no entry of the log opens this window")
        if window.is_empty():
            return self.find("L3", "window", "the log says that this window never had a record")
        try:
            note, manifest, self.root = self.open_note(folder, window)
        except (Bad, OSError) as error:
            return self.find("L0", NOTE_NAME, str(error))
        self.levels.update(L0=PASS, L5=PASS)
        # A ledger does not hold against a log that does not hold itself, or that the caller can't tell from another.
        if log.pinned and not log.fails():
            self.levels["L3"] = PASS
        self.state, self.records = manifest["state"], manifest["records"]
        files, wrong = standing_files(manifest, window.redactions)
        for index, what in wrong:
            self.find("L3", f"entry {index}", what)
        self.check_file_set(manifest, files, window, folder)
        self.check_against_log(note, window, folder)
        if window.lost("records"):
            self.kept = "removed"
            return
        self.levels.update({level: PASS for level in ("L1", "L2") if self.levels[level] != FAIL})
        self.mark(window.marks())
        self.parts(folder, manifest["files"], {file["sealed"]: file for file in reversed(files)})
        self.check_end(manifest)
        self.check_erased(manifest, window)
        self.walked = True

    def check_signers(self, required):
        """L6, once the reviews of all windows are known. Records that do not hold say nothing of people."""
        if required:
            for opened in self.people.opened:
                for seq in opened.unapproved():
                    self.find_record(seq, "no person signed for what it gives", "L6")
        if self.people.signers and self.walked and self.levels["L2"] == PASS and self.levels["L6"] != FAIL:
            self.levels["L6"] = PASS

    def open_note(self, folder, window):
        """The note under the key that the log binds to its size."""
        try:
            note = read_regular(folder / NOTE_NAME)
        except FileNotFoundError as error:
            raise Bad("the folder has no note") from error
        key = window.key_of(note_size(note))
        if key is None:
            raise Bad("the log binds no key to a note of so many records")
        manifest, root = open_ledger_note(note, key)
        if (manifest["gateway"], manifest["window"]) != (self.gateway, self.window):
            raise Bad(f"it is signed for {manifest['gateway']}/{manifest['window']}, and lies in another folder")
        return note, manifest, root

    def check_file_set(self, manifest, files, window, folder):
        listed = [file["name"] for file in manifest["files"]]
        if len(set(listed)) != len(listed):
            self.find("L0", "manifest", "it lists a file twice")
        for file in manifest["files"]:
            if file["name"] != file_name(file):
                self.find("L0", file["name"], "the name is not that of its table and first seq")
            if file["key"] is not None and file["table"] == "records":
                self.find("L0", file["name"], "a records file is not encrypted")
        expected = {NOTE_NAME, *(file["name"] for file in files)} | ({TIMESTAMP_NAME} if window.timestamp else set())
        for item in sorted(os.scandir(folder), key=lambda item: item.name):
            if item.is_dir(follow_symlinks=False) or item.name not in expected:
                self.find("L0", item.name, "it is not among the ledger's files")

    def check_against_log(self, note, window, folder):
        """What the log says of the ledger, save for the roots along the way."""
        seal = window.seal
        if seal:
            sealed = (seal["note"], seal["records"], seal["root"])
            if sealed != (sha256(note).hex(), self.records, self.root.hex()) or self.state != "sealed":
                self.find("L3", NOTE_NAME, "it is not the note that was sealed")
        elif self.state == "sealed":
            self.find("L5", NOTE_NAME, "it says sealed, and the log does not yet")
        if self.records < window.length():
            what = f"the log names {window.length()} records: the others are not in a part yet, or were taken away"
            self.find("L5", "ledger", what, self.records)
        if window.timestamp:
            try:
                if sha256(read_regular(folder / TIMESTAMP_NAME)).hex() != window.timestamp:
                    self.find("L3", TIMESTAMP_NAME, "its bytes are not those that the log names")
            except OSError as error:
                self.find("L3", TIMESTAMP_NAME, f"it can't be read: {error.strerror}")

    def parts(self, folder, files, standing):
        at = 0
        while at < len(files):
            file, payloads = files[at], None
            if at + 1 < len(files) and files[at + 1]["table"] == "payloads" and files[at + 1]["first_seq"] == file["first_seq"]:
                payloads = files[at + 1]
            at += 2 if payloads else 1
            self.part(folder, file, payloads, standing)

    def part(self, folder, file, payload_file, standing):
        if file["table"] != "records" or file["first_seq"] != self.due:
            self.find("L1", file["name"], f"a records file that starts at {self.due} is due here")
        if file["table"] == "records" and file["rows"] != file["records"]:
            self.find("L1", file["name"], "the manifest gives it another number of rows than of records")
        if payload_file and payload_file["records"] != file["records"]:
            self.find("L1", payload_file["name"], "the manifest gives it another number of records than the part has")
        rows = self.rows(folder, standing.get(file["name"]))
        end, commitments = file["first_seq"] + file["records"], {}
        for _, row in rows if file["table"] == "records" else []:
            seq = self.record(row, end)
            if row["payload_hash"] is not None:
                commitments[seq] = row["payload_hash"]
        self.resume_at(end)
        now = payload_file and standing.get(payload_file["name"])
        if payload_file and payload_file["key"] is not None:
            self.kept = "encrypted"
            if now:
                self.contents(folder, now)
        elif now or not payload_file:
            self.payloads(self.rows(folder, now), commitments)

    def contents(self, folder, file):
        """The bytes of one file, also where they are not the sealed ones; None where there are none."""
        name = file["name"]
        if file["bytes"] > FILE_BYTES_MAX:
            self.find("L0", name, "it is larger than FILE_BYTES_MAX")
            return None
        try:
            data = read_regular(folder / name, FILE_BYTES_MAX)
        except (OSError, ValueError) as error:
            self.find("L0", name, f"it can't be read: {error}")
            return None
        if len(data) != file["bytes"] or sha256(data).hex() != file["sha256"]:
            self.find("L0", name, "its bytes are not the sealed ones (SHA-256 or length differ)")
        return data

    def rows(self, folder, file):
        """Reads one file: its bytes against the manifest, its structure, its rows."""
        data = self.contents(folder, file) if file else None
        if data is None:
            return []
        name = file["name"]
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
        return sha256(preimage(self.gateway, self.window, self.head, {**row, **changed} if changed else row)) == row["hash"]

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
        for level, what in self.people.take(self, row):
            self.find_record(seq, what, level)
        # On from the hash as stored: one changed record is one finding, and a stored hash that was changed along with
        # it breaks the next record and the root.
        self.head = row["hash"]
        self.tree.push(row["hash"])
        self.due += 1
        self.check_mark()
        return seq

    def mark(self, marks):
        """Sizes at which the log names the ledger's root."""
        for size, root in marks:
            self.marks.setdefault(size, set()).add(root)
        self.check_mark()

    def check_mark(self):
        roots = self.marks.get(self.tree.size)
        if roots and roots != {self.tree.root()}:
            self.find("L3", "ledger", f"the first {self.tree.size} records do not have the root that the log names")

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
            self.erased.update(name for name, _ in row["erased"])
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

    def check_erased(self, manifest, window):
        """What is left of the payloads; where all files are there, each erasure has its entry in the log."""
        if window.lost("payloads"):
            self.kept = "removed"
        if self.kept != "none":
            return
        said = Counter()
        for _, redaction in window.redactions:
            said.update(redaction["fields"])
        # Compared as they are: a Counter would take a field with the number 0 for one that is not named.
        if dict(said) != dict(self.erased):
            self.find("L2", "payloads", f"erased are {dict(self.erased)}, the log's redactions say {dict(said)}")
        if any(file["table"] == "payloads" for file in manifest["files"]):
            self.kept = "erased" if self.erased else "full"

    def report(self):
        return {
            "folder": f"{self.gateway}/{self.window}", "gateway": self.gateway, "window": self.window, "state": self.state,
            "records": self.records, "root": self.root and self.root.hex(), "payloads": self.kept, "levels": self.levels,
            "sessions": [opened.report() for opened in self.people.opened], "findings": self.findings, "findings_left_out": self.left_out,
        }  # fmt: skip


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
    length_fits = row["body_bytes"] == len(body) or "body_bytes" in dict(row["erased"])
    return sha256(body) == digest and (capture != "full" or length_fits)


# ---- FORMAT.md §12: witnesses and timestamps -----------------------------------------------------------------------------


class Policy:
    """A witness policy (C2SP tlog-policy): which logs, which witnesses, and how many of them."""

    def __init__(self, raw):
        if any(c < 0x20 and c not in b"\t\n" or c == 0x7F for c in raw):
            raise Bad("it holds a control character")
        self.logs, self.witnesses, self.groups, self.quorum = [], {}, {}, None
        self.members = set()
        for line in raw.decode("utf-8", "surrogateescape").split("\n"):
            words = line.strip(" \t").replace("\t", " ").split()
            if words and not words[0].startswith("#"):
                self.take(words[0], words[1:])
        if self.quorum is None:
            raise Bad("it has no quorum line")

    def take(self, word, rest):
        if word == "log" and len(rest) in (1, 2):
            self.logs.append(self.new_key(rest[0], 1, self.logs))
        elif word == "witness" and len(rest) in (2, 3):
            self.witnesses[self.new_name(rest[0])] = self.new_key(rest[1], 4, self.witnesses.values())
        elif word == "group" and len(rest) >= 3:
            self.take_group(self.new_name(rest[0]), rest[1], rest[2:])
        elif word == "quorum" and len(rest) == 1 and self.quorum is None:
            if rest[0] != "none" and not self.is_known(rest[0]):
                raise Bad(f"the quorum {rest[0]!r} is not defined before it")
            self.quorum = rest[0]
        else:
            raise Bad(f"this line is not one of a policy: {word} {' '.join(rest)}")

    def take_group(self, name, threshold, members):
        if not all(self.is_known(member) for member in members) or self.members & set(members) or len(set(members)) != len(members):
            raise Bad(f"a member of group {name!r} is not defined before it, or is a member already")
        self.members |= set(members)
        count = {"all": str(len(members)), "any": "1"}.get(threshold, threshold)
        if not DECIMAL.match(count) or not 1 <= int(count) <= len(members):
            raise Bad(f"the threshold of group {name!r} is all, any, or 1 to the number of its members")
        self.groups[name] = int(count), members

    def is_known(self, name):
        return name in self.witnesses or name in self.groups

    def new_name(self, name):
        if self.is_known(name) or name == "none":
            raise Bad(f"{name!r} is defined twice, or reserved")
        return name

    def new_key(self, vkey, type, known):
        key = Key(vkey, type)
        if any(key.raw == other.raw for other in known):
            raise Bad("it names one public key twice")
        return key

    def met(self, name, cosigned):
        """Whether the witnesses in `cosigned` are enough for a witness or group."""
        if name == "none" or name in cosigned:
            return True
        count, members = self.groups.get(name, (1, []))
        return sum(self.met(member, cosigned) for member in members) >= count

    def check(self, log):
        """Raises Bad where the log's cosigned checkpoint is not what the policy asks for."""
        if log.cosigned is None:
            if self.quorum != "none":
                raise Bad("the log has no cosigned checkpoint")
            return
        note, size, _ = log.cosigned
        signer = log.identity_of(size)
        if self.logs and (signer is None or signer["key"] not in self.logs):
            raise Bad("it is not signed by a log key that the policy names")
        cosigned = self.cosigners(note, signer["key"] if signer else None)
        if not self.met(self.quorum, cosigned):
            raise Bad(f"{len(cosigned)} of the witnesses of the policy cosigned it, which is not its quorum")

    def cosigners(self, note, log_key):
        """The witnesses that cosigned. Every line is the log's or a known witness's, once each."""
        text, lines = split_note(note)
        if len(lines) > SIGNATURES_MAX:
            raise Bad("it has more signature lines than SIGNATURES_MAX")
        seen = []
        for line in lines:
            by_log = log_key is not None and log_key.signed(text, line)
            names = ["the log"] if by_log else [name for name, key in self.witnesses.items() if is_cosigned(text, line, key)]
            if not names:
                raise Bad(f"a signature by {signature_line(line)[0]}, whose key is neither the log's nor a witness's of the policy")
            seen += names
        if len(set(seen)) != len(seen):
            raise Bad("it is signed twice by the same key")
        return set(seen) - {"the log"}


def is_cosigned(text, line, key):
    """Whether a line is the cosignature (cosignature/v1) of a witness; one that says so and does not verify is Bad."""
    signature = key.signature(line)
    if signature is None:
        return False
    if len(signature) != 72:
        raise Bad(f"a cosignature by {key.name} has another length")
    seconds = int.from_bytes(signature[:8], "big")
    key.check(signature[8:], f"cosignature/v1\ntime {seconds}\n{text}")
    return True


def timestamp_fault(folder, ca):
    """What is wrong with the timestamp over a sealed note, by `openssl ts`; None where it holds."""
    if not (folder / TIMESTAMP_NAME).is_file():
        return "the sealed window has no timestamp"
    command = ["openssl", "ts", "-verify", "-data", folder / NOTE_NAME, "-in", folder / TIMESTAMP_NAME, "-CAfile", ca]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode == 0 and "Verification: OK" in result.stdout + result.stderr:
        return None
    lines = result.stderr.strip().splitlines()
    return f"openssl ts does not verify it: {lines[-1] if lines else 'no reason given'}"


# ---- Folders: which logs and ledgers there are ---------------------------------------------------------------------------


class Evidence:
    """Everything found in a folder, verified."""

    def __init__(self, keys, pins, policy=None, ca=None, signers=None, require_approval=False):
        self.keys, self.pins, self.policy, self.ca = keys, pins, policy, ca
        self.signers, self.require_approval = signers, require_approval
        self.logs, self.ledgers, self.strays, self.all = [], [], [], False

    def verify(self, root):
        """`root` is the folder `evidence`, a gateway's, or a window's."""
        root = Path(os.path.abspath(root))
        if (root / LOG_FOLDER).is_dir():
            self.gateway(root)
        elif (root / NOTE_NAME).exists() or (root.parent / LOG_FOLDER).is_dir():
            self.gateway(root.parent, root.name)
        else:
            self.all = True
            for item in sorted(os.scandir(root), key=lambda item: item.name):
                if item.is_dir(follow_symlinks=False) and is_name(item.name):
                    self.gateway(Path(item.path))
                else:
                    self.strays.append(item.name)
        return self

    def gateway(self, folder, only=None):
        """A gateway's log, and its windows or only one of them."""
        name = folder.name
        log = Log(folder / LOG_FOLDER, name)
        log.verify(self.keys, self.pins)
        self.check_witnesses(log)
        found = set()
        for item in sorted(os.scandir(folder), key=lambda item: item.name):
            is_folder = item.is_dir(follow_symlinks=False)
            if is_folder and item.name == LOG_FOLDER or only not in (None, item.name):
                continue
            if not is_folder or not is_name(item.name):
                self.strays.append(f"{name}/{item.name}")
                continue
            found.add(item.name)
            ledger = Ledger(name, item.name, self.signers)
            ledger.verify(Path(item.path), log)
            self.check_timestamp(ledger, log, Path(item.path))
            self.ledgers.append(ledger)
        own = [ledger for ledger in self.ledgers if ledger.gateway == name]
        review(own)
        for ledger in own:
            ledger.check_signers(self.require_approval)
        for window, state in sorted(log.windows.items()):
            if window not in found and only in (None, window) and not state.is_empty():
                ledger = Ledger(name, window)
                ledger.find("L5", "window", f"the log opens it and names {state.length()} records, and nothing of it is here")
                self.ledgers.append(ledger)
        self.logs.append(log)

    def check_witnesses(self, log):
        if self.policy is None:
            return
        try:
            self.policy.check(log)
            log.witnesses = PASS
        except Bad as error:
            log.witnesses = FAIL
            log.find(COSIGNED_NAME, str(error), "L4")

    def check_timestamp(self, ledger, log, folder):
        """L4 of a ledger: that of its log, where witnesses saw what the log says of it; with a CA, that of its timestamp."""
        if ledger.root is None:
            return
        witnessed = log.cosigned is not None and log.windows[ledger.window].told <= log.cosigned[1]
        ledger.levels["L4"] = NOT_CHECKED if log.witnesses == PASS and not witnessed else log.witnesses
        if self.ca is None or ledger.state != "sealed":
            return
        fault = timestamp_fault(folder, self.ca)
        if fault:
            ledger.find("L4", TIMESTAMP_NAME, fault)
        elif self.policy is None:
            ledger.levels["L4"] = PASS

    def missing_logs(self):
        """Logs that are pinned, or that a key was given for, and that are not there."""
        expected = {pin.split(b"\n")[0].decode(errors="replace") for pin in self.pins}
        expected |= {key.name for key in self.keys} if self.all else set()
        return sorted(expected - {log.origin for log in self.logs})

    def exit_code(self):
        below = [level for level in LEVELS if level != "L5"]
        if self.strays or any(log.findings for log in self.logs):
            return 1
        if any(ledger.levels[level] == FAIL for ledger in self.ledgers for level in below):
            return 1
        empty = not self.ledgers or any(not log.windows for log in self.logs)
        incomplete = empty or self.missing_logs() or any(ledger.levels["L5"] == FAIL for ledger in self.ledgers)
        return 2 if incomplete else 0

    def report(self):
        return {
            "logs": [log.report() for log in self.logs], "ledgers": [ledger.report() for ledger in self.ledgers],
            "strays": self.strays, "exit": self.exit_code(),
        }  # fmt: skip


# ---- FORMAT.md §13: proof bundles --------------------------------------------------------------------------------------


def is_base64(value):
    try:
        return isinstance(value, str) and base64_bytes(value) is not None
    except Bad:
        return False


def is_hash_list(value):
    return isinstance(value, list) and all(is_base64(item) and len(base64_bytes(item)) == 32 for item in value)


def shaped(shape, what, optional=False):
    def fits(value):
        if value is not None or not optional:
            check_shape(value, shape, what)
        return True

    return fits


OLDER_SHAPE = {"note": is_text, "proof": is_hash_list}
PROOF_SHAPE = {
    "format": one_of("sealgate/proof/v1"), "gateway": is_text, "window": is_text, "seq": is_count, "note": is_text,
    "records": list_of({"preimage": is_base64, "proof": is_hash_list}, "record"),
    "payload": shaped({
        "commitments": is_hash_list,
        "revealed": list_of({"field": is_text, "salt": is_base64, "value": is_base64}, "revealed field"),
    }, "payload", optional=True),
    "log": shaped({
        "checkpoint": is_text,
        "entries": list_of({"index": is_count, "entry": is_text, "proof": is_hash_list, "ledger_proof": is_hash_list}, "entry"),
        "handovers": list_of(OLDER_SHAPE, "handover"), "pin": shaped(OLDER_SHAPE, "pin", optional=True),
    }, "log"),
}  # fmt: skip
PROOF_BYTES_MAX = 64 << 20


def is_included(leaf, index, size, proof, root):
    """RFC 9162 §2.1.3.2."""
    if index >= size:
        return False
    node, place, last = leaf, index, size - 1
    for sibling in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            node = sha256(b"\1", sibling, node)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            node = sha256(b"\1", node, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and node == root


def is_consistent(old, old_root, new, new_root, proof):
    """RFC 9162 §2.1.4.2. The empty tree is a beginning of every tree, and needs no proof."""
    if old == 0:
        return not proof and old_root == sha256()
    if old >= new:
        return old == new and not proof and old_root == new_root
    hashes = list(proof) if old & old - 1 else [old_root, *proof]
    if not hashes:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    from_old = from_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            from_old, from_new = sha256(b"\1", sibling, from_old), sha256(b"\1", sibling, from_new)
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            from_new = sha256(b"\1", from_new, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root


def from_cbor(raw):
    """A value in its one encoding."""
    try:
        value = cbor2.loads(raw)
        again = cbor(value)
    except Exception as error:  # cbor2 raises its own errors, and those of what it calls
        raise Bad(f"not CBOR: {error!r}") from error
    if again != raw:
        raise Bad("not in canonical form")
    return value


def is_u64(value):
    return type(value) is int and 0 <= value < 1 << 64


def is_texts(value):
    return isinstance(value, list) and all(is_text(item) for item in value)


def is_headers(value):
    return isinstance(value, list) and all(is_texts(pair) and len(pair) == 2 for pair in value)


def is_hash_bytes(value):
    return type(value) is bytes and len(value) == 32


VALUES = {"headers": is_headers, "body": lambda value: type(value) is bytes, "body_bytes": is_u64, "body_sha256": is_hash_bytes}


def column_fits(column, value):
    if value is None:
        return column.nullable
    if column.listed:
        return is_texts(value)
    if column.name == "time":
        return type(value) is int and -(1 << 63) <= value < 1 << 63
    if column.name == "kind":
        return is_text(value) and KIND.match(value) is not None
    if column.name == "payload_hash":
        return is_hash_bytes(value)
    if pa.types.is_string(column.arrow):
        return is_text(value)
    return is_u64(value) and (column.name != "status" or value < 1 << 16)


class Refused(Exception):
    """What does not hold, and the level that fails by it."""

    def __init__(self, level, place, error):
        super().__init__(str(error))
        self.level, self.place = level, place


class Proof:
    """One record, shown alone. The order of checks is that of trust; the first that does not hold ends them."""

    def __init__(self, data, keys, pins, policy=None, signers=None):
        self.keys, self.pins, self.policy, self.signers, self.pinned = keys, pins, policy, signers, False
        self.levels, self.findings, self.shown = dict.fromkeys(LEVELS, NOT_CHECKED), [], None
        try:
            self.bundle = self.at("L0", "bundle", self.parse, data)
            self.at("L3", "log", self.read_log)
            self.at("L0", "note", self.read_note)
            self.levels["L0"] = PASS
            self.at("L3", "log", self.check_marks)
            self.at("L2", "records", self.read_records)
            self.at("L2", "payload", self.read_payload)
            self.read_statement()
            self.levels.update({"L2": PASS, "L3": PASS if self.pinned else NOT_CHECKED})
            self.at("L4", "checkpoint", self.check_witnesses)
        except Refused as refused:
            self.levels[refused.level], self.shown = FAIL, None
            self.findings.append({"level": refused.level, "place": refused.place, "what": str(refused)})

    @staticmethod
    def at(level, place, check, *arguments):
        try:
            return check(*arguments)
        except MALFORMED as error:
            raise Refused(level, place, error) from error

    @staticmethod
    def parse(data):
        if len(data) > PROOF_BYTES_MAX:
            raise Bad("it is larger than PROOF_BYTES_MAX")
        bundle = json_object(data.decode("utf-8"), "bundle")
        check_shape(bundle, PROOF_SHAPE, "bundle")
        if not is_name(bundle["gateway"]) or not is_name(bundle["window"]):
            raise Bad("gateway or window is no name")
        return bundle

    def read_log(self):
        part = self.bundle["log"]
        note = part["checkpoint"].encode()
        self.log = Log(None, self.bundle["gateway"])
        origin, self.log.size, self.root = parse_checkpoint(note)
        if origin != self.log.origin or self.log.size > ENTRIES_MAX:
            raise Bad("the checkpoint is of another log, or has more entries than a log has")
        self.entries = [self.read_entry(entry) for entry in part["entries"]]
        signer = self.log.identity_of(self.log.size)
        text, lines = split_note(note)
        if signer is None or not lines or signature_line(lines[0])[0] != signer["key"].name:
            raise Bad("the first signature of the checkpoint is not the gateway's")
        open_among(note, signer["key"])
        known = self.handovers(part["handovers"])
        self.log.check_trust(self.keys)
        if self.log.findings:
            raise Bad(self.log.findings[0]["what"])
        if part["pin"] is not None:
            known.append(self.older(part["pin"]))
            self.check_counts(part["pin"]["note"].encode(), known[-1][0])
        self.check_pins([*known, (self.log.size, self.root)])

    def read_entry(self, part):
        raw, index = part["entry"].encode(), part["index"]
        proof = [base64_bytes(item) for item in part["proof"]]
        if not is_included(sha256(b"\0", raw), index, self.log.size, proof, self.root):
            raise Bad(f"the proof of entry {index} does not lead to the root of the checkpoint")
        if index < self.log.tree.size:
            raise Bad("entries stand in order, each once")
        entry = decode_entry(raw)
        about = entry["type"] in ("open", "head", "seal") and entry["window"] == self.bundle["window"]
        if entry["type"] != "key" and not about:
            raise Bad(f"entry {index} is not about this record's keys and window")
        if (index == 0) != (not self.log.identities):
            raise Bad("entry 0 adopts the first identity key, and does not here")
        self.log.tree.size = index + 1  # of the tree only the number of entries is used
        self.log.take(index, entry)
        return entry, [base64_bytes(item) for item in part["ledger_proof"]]

    def handovers(self, parts):
        known = []
        for before, adopted, part in zip(self.log.identities, self.log.identities[1:], parts):
            older = self.older(part)
            open_exactly(part["note"].encode(), [before["key"], adopted["key"]])
            if older[0] != adopted["from"]:
                raise Bad("a handover does not end with the new key's entry")
            known.append(older)
        if len(parts) + 1 != len(self.log.identities):
            raise Bad("each identity key but the first has a handover")
        return known

    def older(self, part):
        """Size and root of a checkpoint that this log goes on from."""
        origin, size, root = parse_checkpoint(part["note"].encode())
        proof = [base64_bytes(item) for item in part["proof"]]
        if origin != self.log.origin or not is_consistent(size, root, self.log.size, self.root, proof):
            raise Bad("the proof of an older checkpoint does not lead from it to the newer one")
        return size, root

    def check_counts(self, note, size):
        signer = self.log.identity_of(size)
        if signer is None or signer["revoked"] is not None and size > signer["revoked"]:
            raise Bad("no identity key counts at the size of the pinned checkpoint")
        open_among(note, signer["key"])

    def check_pins(self, known):
        compared = 0
        for pin in self.pins:
            origin, size, root = parse_checkpoint(pin)
            same = next((root for at, root in known if at == size and origin == self.log.origin), None)
            if same is None:
                continue
            if same != root:
                raise Bad("the log of this bundle does not go on from the pinned checkpoint: it is another one")
            self.check_counts(pin, size)
            compared += 1
        self.pinned = 0 < compared == len(self.pins)

    def read_note(self):
        note = self.bundle["note"].encode()
        self.window = self.log.windows.get(self.bundle["window"])
        key = self.window.key_of(note_size(note)) if self.window else None
        if key is None:
            raise Bad("the entries shown bind no key to a note of so many records")
        self.manifest, self.ledger_root = open_ledger_note(note, key)
        if (self.manifest["gateway"], self.manifest["window"]) != (self.bundle["gateway"], self.bundle["window"]):
            raise Bad("it is of another ledger")

    def check_marks(self):
        size, root = self.manifest["records"], self.ledger_root
        for entry, proof in self.entries:
            if entry["type"] == "key":
                grows = not proof
            else:
                grows = is_consistent(entry["records"], bytes.fromhex(entry["root"]), size, root, proof)
            if not grows:
                raise Bad("the ledger does not go on from where an entry says that it was")
        seal = self.window.seal
        if (self.manifest["state"] == "sealed") != (seal is not None):
            raise Bad("the note says sealed and no seal entry is shown, or the other way round")
        digest = sha256(self.bundle["note"].encode()).hex()
        if seal and (seal["records"], seal["root"], seal["note"]) != (size, root.hex(), digest):
            raise Bad("the note is not the one that the seal entry names")

    def read_records(self):
        rows, size = [], self.manifest["records"]
        for part in self.bundle["records"]:
            raw = base64_bytes(part["preimage"])
            row, previous = self.read_preimage(raw)
            row["hash"], seq = sha256(raw), row["seq"]
            proof = [base64_bytes(item) for item in part["proof"]]
            if not is_included(sha256(b"\0", row["hash"]), seq, size, proof, self.ledger_root):
                raise Bad(f"the proof of record {seq} does not lead to the signed root")
            if rows and seq <= rows[-1]["seq"] or rows and seq == rows[-1]["seq"] + 1 and previous != rows[-1]["hash"]:
                raise Bad(f"record {seq} does not follow the record before it")
            if (seq == 0) != (row["kind"] == "window_open") or seq == 0 and previous != ZERO:
                raise Bad("window_open is the first record and no other")
            last = seq + 1 == size
            if last and row["hash"].hex() != self.manifest["head"]:
                raise Bad("the last record's hash is not the signed head")
            if (row["kind"] == "window_close") != (last and self.manifest["state"] == "sealed"):
                raise Bad("window_close is the last record of a sealed ledger and no other")
            rows.append(row)
        self.shown = self.roles(rows)

    def read_preimage(self, raw):
        values = from_cbor(raw)
        head = ["sealgate/record/v1", self.bundle["gateway"], self.bundle["window"]]
        if not isinstance(values, list) or len(values) != 4 + len(PREIMAGE) or values[:3] != head or not is_hash_bytes(values[3]):
            raise Bad("it is no record of this ledger")
        row = dict(zip(PREIMAGE, values[4:]))
        for column in RECORDS:
            if column.name in row and not column_fits(column, row[column.name]):
                raise Bad(f"its {column.name} is of another type")
        return row, values[3]

    def roles(self, rows):
        """The record that the bundle is about, and those that it refers to; no others."""

        def take(wanted):
            place = next((place for place, row in enumerate(rows) if wanted(row)), None)
            return None if place is None else rows.pop(place)

        record = take(lambda row: row["seq"] == self.bundle["seq"])
        if record is None or record["kind"] == "intent" and record["call"] != record["seq"]:
            raise Bad("the record that the bundle is about is not in it, or is an intent that does not name itself")
        window_open = record if record["seq"] == 0 else take(lambda row: row["seq"] == 0)
        if window_open is None:
            raise Bad("the window's opening is not in it")
        intent = None
        if record["call"] not in (None, record["seq"]):
            intent = take(lambda row: row["seq"] == record["call"])
            if intent is None or intent["kind"] != "intent" or intent["seq"] >= record["seq"]:
                raise Bad("the intent that the record names in `call` is not in it")
        before = intent or record
        session = record["session"] if record["session"] is not None or intent is None else intent["session"]
        opening = take(
            lambda row: row["kind"] == "session_open" and row["seq"] < before["seq"]
            and session is not None and row["session"] == session
        )  # fmt: skip
        if rows:
            raise Bad("a record is in it that the one shown does not refer to")
        return {"record": record, "intent": intent, "session_open": opening, "window_open": window_open, "payload": []}

    def read_payload(self):
        part, record = self.bundle["payload"], self.shown["record"]
        if part is None:
            return
        commitments = [base64_bytes(item) for item in part["commitments"]]
        if len(commitments) != len(FIELDS) or record["payload_hash"] != sha256(b"sealgate/payload/v1\0", *commitments):
            raise Bad("the commitments are not those that the record binds")
        revealed = list(part["revealed"])
        for field, expected in zip(FIELDS, commitments):
            if not revealed or revealed[0]["field"] != field:
                self.shown["payload"].append({"field": field, "shown": "empty" if expected == ZERO else "hidden"})
                continue
            item = revealed.pop(0)
            salt, value = base64_bytes(item["salt"]), base64_bytes(item["value"])
            if len(salt) != 32 or sha256(b"sealgate/field/v1\0", salt, value) != expected:
                raise Bad(f"{field} and its salt do not fit its commitment")
            value = from_cbor(value)
            if not VALUES.get(field, is_text)(value):
                raise Bad(f"{field} is of another type")
            self.shown["payload"].append({"field": field, "shown": "value", "value": value})
        if revealed:
            raise Bad("a field is none, is there twice or out of order")

    def read_statement(self):
        """Who signed what the record holds."""
        row, faults = self.shown["record"], []
        if row["kind"] not in ACTS_OF:
            return
        ledger = Ledger(self.bundle["gateway"], self.bundle["window"], self.signers)
        said = ledger.people.read(ledger, row, detail_of(row), faults)
        for level, what in sorted(faults):
            raise Refused(level, f"record {row['seq']}", what)
        if said:
            self.shown["statement_by"] = said.report()
        if said and said.theirs:
            self.levels["L6"] = PASS

    def check_witnesses(self):
        if self.policy:
            self.log.cosigned = self.bundle["log"]["checkpoint"].encode(), self.log.size, self.root
            self.policy.check(self.log)
            self.levels["L4"] = PASS

    def exit_code(self):
        if self.shown is None:
            return 1
        return 2 if self.pins and not self.pinned else 0

    def report(self, path):
        def readable(value):
            if isinstance(value, dict):
                return {name: readable(item) for name, item in value.items() if item is not None}
            if isinstance(value, list):
                return [readable(item) for item in value]
            return (value.hex() if len(value) == 32 else base64.b64encode(value).decode()) if isinstance(value, bytes) else value

        shown = self.shown and {
            "gateway": self.bundle["gateway"], "window": self.bundle["window"], "state": self.manifest["state"],
            "records": self.manifest["records"], "root": self.ledger_root.hex(), **self.shown,
            "log": {"size": self.log.size, "root": self.root.hex(), "pinned": self.pinned},
        }  # fmt: skip
        return {
            "bundle": str(path), "levels": self.levels, "findings": self.findings, "shown": readable(shown),
            "exit": self.exit_code(),
        }  # fmt: skip


def print_proof(proof, path):
    report = proof.report(path)
    print(f"{path}: a proof of one record")
    for level, title in LEVELS.items():
        print(f"  {level} {title:<28} {proof.levels[level]}")
    for finding in proof.findings:
        print(f"  {finding['level']} {finding['place']}: {finding['what']}")
    if proof.shown:
        print(json.dumps(report["shown"], indent=1))  # ASCII: nothing in it moves a cursor
        print(f"record {proof.shown['record']['seq']} and what is shown with it; other records, and later entries of the log, are not")
    print(f"exit {proof.exit_code()}")


# ---- Output ----------------------------------------------------------------------------------------------------------


def print_log(log):
    report = log.report()
    print(f"{log.gateway}: windows log of {log.size} entries, root {report['root']}")
    for level, verdict in report["levels"].items():
        print(f"  {level} {LEVELS[level]:<28} {verdict}")
    for finding in log.findings:
        print(f"  {finding['level']} {finding['place']}: {finding['what']}")
    if log.witnesses == PASS and log.cosigned and log.size > log.cosigned[1]:
        print(f"  the last {log.size - log.cosigned[1]} entries are not witnessed yet, and the ledgers that they speak of not either")


PAYLOADS = {
    "erased": "payloads: fields were erased, as the log says; the others were checked",
    "removed": "payloads: removed, as the log says",
    "encrypted": "payloads: encrypted; the bytes of the files were checked, their rows were not",
}


def print_ledger(report):
    size = f"{report['records']} records" if report["root"] else "not opened"
    print(f"{report['folder']}: {report['state'] or 'unknown state'}, {size}, root {report['root'] or '-'}")
    for level, title in LEVELS.items():
        print(f"  {level} {title:<28} {report['levels'][level]}")
    for session in report["sessions"]:
        print(f"  session {json.dumps(session)}")  # ASCII: nothing in it moves a cursor
    for finding in report["findings"]:
        print(f"  {finding['level']} {finding['place']}: {finding['what']}")
    if report["findings_left_out"]:
        print(f"  and {report['findings_left_out']} more findings")
    if report["payloads"] in PAYLOADS:
        print(f"  {PAYLOADS[report['payloads']]}")
    if report["state"] == "open":
        print("  open: how far it had grown, the log's last head says; the newest records may not be in a part yet")


def plural(count, noun):
    return f"{count} {noun}" + ("" if count == 1 else "s")


def summary(evidence):
    """One line that says what was checked, and nothing more."""
    if not evidence.ledgers and evidence.exit_code() != 1:
        return "nothing to check was found, which is not a pass"
    words = [f"{plural(len(evidence.ledgers), 'ledger')} of {plural(len(evidence.logs), 'gateway')}"]
    for verdict, word in ((PASS, "checked and held"), (FAIL, "FAILED"), (NOT_CHECKED, "not checked")):
        counts = [(level, sum(of.levels[level] == verdict for of in evidence.ledgers)) for level in LEVELS]
        text = [level if count == len(evidence.ledgers) else f"{level} of {count}" for level, count in counts if count]
        words += [f"{word}: {', '.join(text)}"] if text else []
    if any(log.fails() for log in evidence.logs):
        words.append("a windows log does not hold")
    if evidence.strays:
        words.append("strays: " + ", ".join(evidence.strays))
    if evidence.missing_logs():
        words.append("pinned or its key given, and not here: " + ", ".join(evidence.missing_logs()))
    return " · ".join(words) + f" · exit {evidence.exit_code()}"


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
    yield from check_statements(load("statements.json"))


def check_statements(vectors):
    for index, vector in enumerate(vectors["statements"]):
        if is_taken(read_statement, vector["text"]) != vector["good"]:
            yield f"statements.json: statement {index}"
    for vector in vectors["signatures"]:
        if is_taken(check_signature, vectors["message"].encode(), vector["signature"]) != vector["good"]:
            yield f"statements.json: signature {vector['name']!r}"
        elif vector["good"] and check_signature(vectors["message"].encode(), vector["signature"]).fingerprint != vector["fingerprint"]:
            yield f"statements.json: fingerprint of {vector['name']!r}"
    for index, vector in enumerate(vectors["allowed_signers"]):
        finds = None
        if is_taken(Signers, vector["file"]):
            finds = Signers(vector["file"]).finds(vector["principal"], key_of_line(vector["key"]), vector["at"] * 1_000_000)
        if finds != vector["finds"]:
            yield f"statements.json: file of signers {index}"


def is_taken(read, *given):
    try:
        read(*given)
    except Bad:
        return False
    return True


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


def read_key(argument):
    path = Path(argument)
    return Key(path.read_text(encoding="utf-8") if "+" not in argument or path.is_file() else argument)


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("evidence", nargs="?", type=Path, help="the folder `evidence`, a GATEWAY folder, a WINDOW folder, or a proof")
    parser.add_argument("--key", action="append", help="a gateway's identity key, or the path of a file that holds one")
    parser.add_argument("--pin", action="append", type=Path, default=[], help="a checkpoint of the log that you kept")
    parser.add_argument("--policy", type=Path, help="a witness policy (C2SP tlog-policy)")
    parser.add_argument("--tsa-ca", type=Path, help="certificates of a timestamp authority, PEM")
    parser.add_argument("--approvers", type=Path, help="your own file of who may approve (OpenSSH's allowed_signers)")
    parser.add_argument("--require-approval", action="store_true", help="each session rests on approvals, or was reviewed")
    parser.add_argument("--json", action="store_true", help="print a machine-readable report")
    parser.add_argument("--batch", type=Path, help="a file of jobs, a JSON object a line")
    parser.add_argument("--vectors", type=Path, help="check this program against the vectors in a folder")
    arguments = parser.parse_args()
    if arguments.vectors:
        return run_vectors(parser, arguments.vectors)
    if arguments.batch:
        return run_batch(parser, arguments.batch)
    if not arguments.evidence or not arguments.key:
        parser.error("EVIDENCE and --key are needed")
    if arguments.evidence.is_file():
        return run_proof(parser, arguments)
    if not arguments.evidence.is_dir():
        parser.error(f"{arguments.evidence} is not a folder")
    evidence = read_arguments(parser, arguments)
    try:
        evidence.verify(arguments.evidence)
    except FileNotFoundError as error:
        parser.error(str(error))
    if arguments.json:
        print(json.dumps(evidence.report(), indent=1))
        return evidence.exit_code()
    for log in evidence.logs:
        print_log(log)
    for ledger in evidence.ledgers:
        print_ledger(ledger.report())
    print(summary(evidence))
    return evidence.exit_code()


def read_arguments(parser, arguments):
    """What the caller brings, parsed; ends the program where it can't be."""
    option = "--key"
    try:
        keys = [read_key(key) for key in arguments.key]
        option = "--pin"
        pins = [pin.read_bytes() for pin in arguments.pin]
        for pin in pins:
            parse_checkpoint(pin)
        option = "--policy"
        policy = Policy(arguments.policy.read_bytes()) if arguments.policy else None
        option = "--tsa-ca"
        if arguments.tsa_ca:
            arguments.tsa_ca.read_bytes()
            subprocess.run(["openssl", "version"], capture_output=True, check=True)
        option = "--approvers"
        signers = Signers(arguments.approvers.read_text(encoding="utf-8")) if arguments.approvers else None
        if arguments.require_approval and not signers:
            raise Bad("--require-approval needs it")
    except (Bad, OSError, ValueError, subprocess.SubprocessError) as error:
        parser.error(f"{option}: {error}")
    return Evidence(keys, pins, policy, arguments.tsa_ca, signers, arguments.require_approval)


def run_proof(parser, arguments):
    given = read_arguments(parser, arguments)
    if given.ca:
        parser.error("a proof holds no timestamp: leave out --tsa-ca")
    if given.require_approval:
        parser.error("a proof shows one record, and not what a session rests on: leave out --require-approval")
    try:
        proof = Proof(arguments.evidence.read_bytes(), given.keys, given.pins, given.policy, given.signers)
    except OSError as error:
        parser.error(str(error))
    if arguments.json:
        print(json.dumps(proof.report(arguments.evidence), indent=1))
    else:
        print_proof(proof, arguments.evidence)
    return proof.exit_code()


def run_batch(parser, jobs):
    """Many folders in one process: a test's thousands would otherwise wait for imports."""
    try:
        for line in jobs.read_text(encoding="utf-8").splitlines():
            job = json.loads(line)
            signers = Signers(job["signers"]) if job.get("signers") is not None else None
            keys, pins = [Key(key) for key in job["keys"]], [pin.encode() for pin in job["pins"]]
            evidence = Evidence(keys, pins, signers=signers, require_approval=bool(job.get("require_approval")))
            print(json.dumps(evidence.verify(Path(job["evidence"])).report()), flush=True)
    except (Bad, OSError, ValueError, KeyError, TypeError) as error:
        parser.error(f"--batch: {error!r}")
    return 0


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

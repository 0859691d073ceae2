#!/usr/bin/env python3
"""Finds a byte of a records file whose change makes one cell of one record read otherwise.

    flip.py FILE

A byte changed at random mostly makes a Parquet file unreadable, which any reader notices. This looks for the nasty case: the
file still opens, and one operation is another. Prints `OFFSET OLD NEW SEQ COLUMN BEFORE AFTER`, tab-separated, bytes in hex.
For the demo; changes nothing, and knows nothing of verification.
"""

import io
import sys
from pathlib import Path

import pyarrow.parquet as pq

# What a forger would want to change, best first.
COLUMNS = ["operation", "path", "error_code", "upstream_request_id", "user_agent", "duration_us"]


def column(data, name):
    """The cells of one column, or None where the bytes no longer decode."""
    try:
        # One thread: one that is left behind by a decoder's error would abort this program at its end.
        return pq.ParquetFile(io.BytesIO(data)).read(columns=["seq", name], use_threads=False).to_pydict()
    except Exception:  # whatever a decoder does with broken bytes, they are not what is looked for
        return None


def chunks(data):
    """Column name → (start, end) of its bytes in the first row group."""
    group = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0)
    for index in range(group.num_columns):
        chunk = group.column(index)
        start = chunk.dictionary_page_offset or chunk.data_page_offset
        yield chunk.path_in_schema.split(".")[0], (start, start + chunk.total_compressed_size)


def is_word(cell):
    return not isinstance(cell, str) or all(c.isascii() and (c.isalnum() or c in " -_./:()#,;") for c in cell)


def changes(data, name, start, end):
    """What of this column one bit can change: each change that alters one cell and nothing else of it, with its rank."""
    before = column(data, name)
    for offset in range(start, end):
        for bit in range(8):
            changed = bytearray(data)
            changed[offset] ^= 1 << bit
            after = column(bytes(changed), name)
            if after is None or after["seq"] != before["seq"]:
                continue
            rows = [row for row, cell in enumerate(before[name]) if after[name][row] != cell]
            if len(rows) != 1:
                continue
            old, new = before[name][rows[0]], after[name][rows[0]]
            if old and new and is_word(new):
                yield rank(old, new, before[name]), (offset, f"{data[offset]:02x}", f"{changed[offset]:02x}", before["seq"][rows[0]], name, old, new)


def rank(old, new, cells):
    """Best is a write that reads as a read; then a value that other records have too: nothing about it looks wrong."""
    reads = ("Get", "Describe", "List")
    whitewash = isinstance(old, str) and not old.startswith(reads) and new.startswith(reads)
    return (new not in cells, not whitewash)


def main():
    data = Path(sys.argv[1]).read_bytes()
    places = dict(chunks(data))
    for name in filter(places.__contains__, COLUMNS):
        found = sorted(changes(data, name, *places[name]))
        if found:
            print(*found[0][1], sep="\t")
            return
    sys.exit("no byte of this file changes exactly one cell")


main()

"""Runs schema/verify.sql over many folders: a path a line on standard input, a JSON object a line on standard output.

    verify_sql.py schema/verify.sql < paths        {"error": null or what ended it, "failed": [[window or null, level], ...]}
"""

import json
import sys

import duckdb

script = open(sys.argv[1], encoding="utf-8").read()
for line in sys.stdin:
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    connection.execute("SET VARIABLE evidence = ?", [line.strip()])
    try:
        connection.execute(script).fetchall()
        error = None
    except duckdb.Error as raised:
        error = str(raised)
    try:
        failed = connection.execute("SELECT DISTINCT change_window, level FROM findings ORDER BY ALL").fetchall()
    except duckdb.Error:
        failed = []
    print(json.dumps({"error": error, "failed": failed}), flush=True)

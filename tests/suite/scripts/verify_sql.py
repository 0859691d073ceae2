"""Runs verify.sql over many folders: verify_sql.py SQL LIST. One JSON object a line: exit code, levels that fail."""

import json
import sys
from pathlib import Path

import duckdb

sql = Path(sys.argv[1]).read_text(encoding="utf-8")
for evidence in Path(sys.argv[2]).read_text(encoding="utf-8").splitlines():
    connection = duckdb.connect(config={"threads": 1})
    connection.execute(f"SET VARIABLE evidence = '{evidence}'")
    code, fails, error = 0, [], None
    try:
        connection.execute(sql)
    except duckdb.Error as caught:
        code, error = 1, str(caught)
    try:
        rows = connection.execute("SELECT DISTINCT level FROM verdicts WHERE verdict = 'FAIL' ORDER BY level").fetchall()
        fails = [level for (level,) in rows]
    except duckdb.Error:
        pass
    print(json.dumps({"exit": code, "fails": fails, "error": error}), flush=True)
    connection.close()

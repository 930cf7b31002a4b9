"""DuckDB or ClickHouse as a worker: reads one JSON request a line, answers one JSON line.

Requests: {"do": "open", "files": GLOB, "memory": BYTES, "threads": N}, {"do": "query", "sql": TEXT, "cold": BOOL},
{"do": "import", "files": GLOB, "out": PATH, "memory": BYTES, "threads": N} (DuckDB only), {"do": "version"}.
In SQL, {events} stands for the files. Cells are answered as texts in one spelling, so that answers can be compared.
"""

import datetime
import glob
import json
import os
import resource
import sys
import time


def spelling(value):
    """A cell as text: times with milliseconds, whole numbers without a fraction, truth in lower case."""
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S.") + f"{value.microsecond // 1000:03d}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


class DuckDb:
    def open(self, files, memory, threads):
        import duckdb

        self.db = duckdb.connect()
        self.db.execute(f"SET memory_limit='{memory}B'; SET threads={threads}; SET TimeZone='UTC'")
        self.events = f"read_parquet('{files}')"
        return duckdb.__version__

    def query(self, sql):
        return self.db.execute(sql.replace("{events}", self.events)).fetchall()

    def load(self, files, out):
        """Log files into one Parquet file: the columns people query, and the record as text."""
        text = "eventID eventName eventSource awsRegion sourceIPAddress userAgent errorCode errorMessage requestID " \
               "eventType eventCategory eventVersion recipientAccountId sharedEventID vpcEndpointId".split()
        columns = ", ".join(f"r->>'$.{name}' AS {name.lower()}" for name in text)
        identity = ", ".join(
            f"r->>'$.userIdentity.{name}' AS useridentity_{name.lower()}"
            for name in "type principalId arn accountId accessKeyId userName invokedBy".split()
        )
        self.db.execute("SET preserve_insertion_order=false")  # Else it holds the whole result in memory.
        self.db.execute(
            f"COPY (SELECT (r->>'$.eventTime')::TIMESTAMP AS eventtime, {columns}, {identity}, "
            "(r->>'$.readOnly')::BOOLEAN AS readonly, (r->>'$.managementEvent')::BOOLEAN AS managementevent, "
            "r->'$.requestParameters' AS requestparameters, r->'$.responseElements' AS responseelements, "
            "r->'$.additionalEventData' AS additionaleventdata, r->'$.resources' AS resources, "
            f"r::VARCHAR AS eventjson FROM (SELECT unnest(Records) AS r FROM read_json('{files}', "
            "columns={Records: 'JSON[]'}, format='unstructured', maximum_object_size=16777216))) "
            f"TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
        )


class ClickHouse:
    def open(self, files, memory, threads):
        import chdb
        from chdb.session import Session

        self.db = Session()
        self.events = f"file('{files}', Parquet)"
        for setting in (f"max_memory_usage={memory}", f"max_threads={threads}", "session_timezone='UTC'",
                        "join_use_nulls=1", "output_format_json_quote_64bit_integers=0"):
            self.db.query(f"SET {setting}")
        return chdb.chdb_version if isinstance(chdb.chdb_version, str) else ".".join(map(str, chdb.chdb_version))

    def query(self, sql):
        answer = self.db.query(sql.replace("{events}", self.events), "JSONCompact")
        rows = json.loads(str(answer))
        times = [column["type"].find("DateTime") >= 0 for column in rows["meta"]]
        return [
            [cell if cell is None or not is_time else (cell + ".000" if "." not in cell else cell[:23])
             for cell, is_time in zip(row, times)]
            for row in rows["data"]
        ]


def forget(files):
    """Asks the system to drop what it has cached of the files."""
    for path in glob.glob(files, recursive=True):
        with open(path, "rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main():
    peer = {"duckdb": DuckDb, "clickhouse": ClickHouse}[sys.argv[1]]()
    files = ""
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "open":
                files = request["files"]
                answer = {"version": peer.open(files, request["memory"], request["threads"])}
            elif request["do"] == "forget":
                forget(request["files"])
                answer = {}
            elif request["do"] == "import":
                started = time.perf_counter()
                peer.load(request["files"], request["out"])
                answer = {"seconds": time.perf_counter() - started}
            else:
                started = time.perf_counter()
                rows = peer.query(request["sql"])
                answer = {"seconds": time.perf_counter() - started,
                          "rows": [[spelling(cell) for cell in row] for row in rows]}
            answer["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        except Exception as error:  # Whatever the peer raises is its answer.
            answer = {"error": f"{type(error).__name__}: {error}"[:600]}
        print(json.dumps(answer), flush=True)


main()

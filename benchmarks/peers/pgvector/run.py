"""pgvector: a table with an HNSW index, in the embedded PostgreSQL with a gigabyte of shared buffers.

Choices:
    - m of 16 and ef_construction of 64, its defaults, with enough memory to build the graph in one piece.
    - Every label has a B-tree index and the table is analysed, so that the planner may leave the graph aside.
    - Filters use iterative scans in strict order that may look at all rows.
    - One connection over a Unix socket, vectors in binary, a prepared statement.
"""

import sys
from pathlib import Path

import psycopg
from pgvector.psycopg import register_vector

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import searcher
from searcher import Condition, Labels, Vectors


class Pgvector:
    """One table in one database."""

    efforts = (10, 20, 40, 64, 96, 128, 192, 256, 400, 700, 1000)
    batches = False

    def __init__(self, _: Path, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._effort = 0

    def build(self, vectors: Vectors, labels: Labels) -> None:
        """Copy the rows, then build the indexes."""
        connection = self._connection
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        register_vector(connection)
        connection.execute("DROP TABLE IF EXISTS item")
        connection.execute(
            f"CREATE TABLE item (id bigint PRIMARY KEY, kind text NOT NULL, project text NOT NULL, "
            f"tenant text NOT NULL, embedding vector({vectors.shape[1]}) NOT NULL)"
        )
        copy = "COPY item (id, kind, project, tenant, embedding) FROM STDIN WITH (FORMAT binary)"
        with connection.cursor() as cursor, cursor.copy(copy) as rows:
            rows.set_types(["int8", "text", "text", "text", "vector"])
            columns = zip(labels["kind"], labels["project"], labels["tenant"], strict=True)
            for number, values in enumerate(columns):
                rows.write_row((number, *values, vectors[number]))
        connection.execute("SET maintenance_work_mem = '2GB'")
        connection.execute("CREATE INDEX ON item USING hnsw (embedding vector_ip_ops)")
        for name in labels:
            connection.execute(f"CREATE INDEX ON item ({name})")
        connection.execute("VACUUM ANALYZE item")
        connection.execute("CHECKPOINT")

    def open(self) -> None:
        """Set up the session."""
        register_vector(self._connection)
        self._connection.execute("SET hnsw.iterative_scan = strict_order")
        self._connection.execute("SET hnsw.max_scan_tuples = 2000000000")
        self._connection.execute("SET hnsw.scan_mem_multiplier = 16")

    def search(self, queries: Vectors, k: int, condition: Condition, effort: int) -> list[list[int]]:
        """Ask once a query."""
        if effort != self._effort:
            self._connection.execute(f"SET hnsw.ef_search = {effort}")
            self._effort = effort
        found = []
        for query in queries:
            if condition is None:
                rows = self._connection.execute(
                    "SELECT id FROM item ORDER BY embedding <#> %s LIMIT %s", (query, k), prepare=True, binary=True
                )
            else:
                name, value = condition
                rows = self._connection.execute(
                    # The name is one of the benchmark's own.
                    f"SELECT id FROM item WHERE {name} = %s ORDER BY embedding <#> %s LIMIT %s",  # noqa: S608 - see above
                    (value, query, k),
                    prepare=True,
                    binary=True,
                )
            found.append([row[0] for row in rows])
        return found

    def insert(self, number: int, vector: Vectors, labels: dict[str, str]) -> None:
        """Insert a row; its commit is durable."""
        self._connection.execute(
            "INSERT INTO item (id, kind, project, tenant, embedding) VALUES (%s, %s, %s, %s, %s)",
            (number, labels["kind"], labels["project"], labels["tenant"], vector),
            prepare=True,
        )

    def close(self) -> None:
        """Leave the database."""
        self._connection.close()


if __name__ == "__main__":
    searcher.main(Pgvector)

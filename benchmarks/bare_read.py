"""A: DuckDB reads the file into a table of a new database, with nothing checked and what it cannot read left out.

Usage: python benchmarks/bare_read.py FILE DATABASE
"""

import sys

import duckdb

if __name__ == "__main__":
    source, database = sys.argv[1:]
    with duckdb.connect(database) as connection:
        connection.execute("create table bare as from read_csv(?, ignore_errors = true)", [source])
        print(connection.execute("select count(*) from bare").fetchall()[0][0], "records")

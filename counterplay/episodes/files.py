"""Rows in Parquet files: columns of NumPy arrays in, columns out. Only this file uses pyarrow."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ArrowException

Columns = dict[str, Any]
"""Name -> one entry a row: a NumPy array, or a list of text."""


def write_rows(path: Path, columns: Columns) -> None:
    """Writes all rows to a file that is whole or not there; OSError where it cannot be."""
    part = path.with_name(path.name + ".part")
    try:
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        with part.open("wb") as file:
            pq.write_table(table, file, compression="zstd", compression_level=1)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read_rows(path: Path) -> dict[str, np.ndarray]:
    """The columns of a file, or of all the files of a folder in the order of their names."""
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    try:
        tables = [pq.read_table(file) for file in files]
    except (OSError, ArrowException) as error:
        raise ValueError(f"cannot read the rows of {path}: {error}") from error
    if not tables:
        return {}
    whole = pa.concat_tables(tables)
    return {name: whole[name].to_numpy() for name in whole.column_names}

"""Rows in Parquet files: columns of NumPy arrays in, columns out. Only this file uses pyarrow."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import ArrowException

from counterplay.episodes.whole_file import whole_file

Columns = Mapping[str, Any]
"""Name -> one entry a row: a NumPy array, [rows] or [rows, width], or a list of text."""


def write_rows(path: Path, columns: Columns, notes: Mapping[str, str] | None = None) -> None:
    """Writes all rows to a file that is whole or not there; OSError where it cannot be.

    Rows of an array become lists of one length; ``notes`` are text about the whole file.
    """
    table = pa.table({name: _column(column) for name, column in columns.items()})
    if notes:
        table = table.replace_schema_metadata(dict(notes))
    with whole_file(path) as file:
        settings = {"compression": "zstd", "compression_level": 1, "write_page_checksum": True}
        pq.write_table(table, file, **settings)


def _column(column: Any) -> pa.Array:
    if getattr(column, "ndim", 1) == 1:
        return pa.array(column)
    return pa.FixedSizeListArray.from_arrays(pa.array(column.reshape(-1)), column.shape[1])


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


def read_noted(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The columns and the notes of one file, lists as rows of arrays; ValueError for text."""
    try:
        with path.open("rb") as file:
            table = pq.read_table(file, page_checksum_verification=True)
    except (OSError, ArrowException) as error:
        said = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {path} as Parquet: {said}") from error
    found = table.schema.metadata or {}
    notes = {key.decode(errors="replace"): x.decode(errors="replace") for key, x in found.items()}
    return {name: _array(path, name, table[name]) for name in table.column_names}, notes


def _array(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    kind, width = column.type, None
    whole = column.combine_chunks()
    missing = whole.null_count
    if pa.types.is_fixed_size_list(kind):
        kind, width = kind.value_type, kind.list_size
        whole = whole.flatten()
        missing += whole.null_count
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if not numbers or missing:
        found = f"{missing} missing" if numbers else str(column.type)
        raise ValueError(
            f"{path}: column {name!r} should hold a number, or a list of so many, in every row; "
            f"found {found}"
        )
    array = whole.to_numpy(zero_copy_only=False)
    return array if width is None else array.reshape(len(column), width)

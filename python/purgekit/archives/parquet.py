"""Archives as Parquet, through pyarrow (the extra ``purgekit[parquet]``)."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, BinaryIO

from purgekit.archives.reader import ArchiveFile
from purgekit.archives.records import Column, Kind
from purgekit.archives.values import Members, Value, as_json
from purgekit.errors import PurgekitError

MOST_ROWS_IN_GROUP = 50_000
MOST_BYTES_IN_GROUP = 32 * 1024 * 1024
_DECIMAL = re.compile(r"(?:numeric|decimal)\((\d{1,3})(?:,\s*(\d{1,3}))?\)", re.IGNORECASE)
_INT64, _UINT64 = range(-(2**63), 2**63), range(2**64)


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise PurgekitError(
            "Parquet needs pyarrow: pip install 'purgekit[parquet]', or take --format csv or json", code="usage"
        ) from None
    return pyarrow


class _Form:
    """How a column is written: its Arrow type as long as all its values fit there, else text, else JSON text."""

    def __init__(self, pa: Any, column: Column) -> None:
        self._pa = pa
        self.column = column
        self.is_typed = True
        self._is_text = True
        self._type, self._fits = _typed_form(pa, column)

    def see(self, plain: Any, value: Value) -> None:
        if value is None:
            return
        self._is_text = self._is_text and isinstance(plain, str)
        self.is_typed = self.is_typed and not isinstance(plain, Members) and self._fits(value)

    @property
    def form(self) -> str:
        return "typed" if self.is_typed else "text" if self._is_text else "json"

    def field(self) -> Any:
        notes = {
            "purgekit.type": self.column.type,
            "purgekit.kind": str(int(self.column.kind)),
            "purgekit.form": self.form,
        }
        return self._pa.field(
            self.column.name, self._type if self.is_typed else self._pa.large_string(), metadata=notes
        )

    def convert(self, plain: Any, value: Value) -> Any:
        if value is None or self.is_typed:
            return value
        return plain if self._is_text else as_json(plain)


def _typed_form(pa: Any, column: Column) -> tuple[Any, Callable[[Any], bool]]:
    kind = column.kind
    if kind == Kind.DECIMAL:
        if (match := _DECIMAL.match(column.type)) and 1 <= int(match[1]) <= 76 and int(match[2] or 0) <= int(match[1]):
            precision, scale = int(match[1]), int(match[2] or 0)
            made = pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
            return made, lambda value: _decimal_fits(value, precision, scale)
        return pa.large_string(), lambda _: False  # any number of digits: as the text that it is
    forms: dict[Kind, tuple[Any, Callable[[Any], bool]]] = {
        Kind.INT: (pa.int64(), lambda value: value in _INT64),
        Kind.UINT: (pa.uint64(), lambda value: value in _UINT64),
        Kind.REAL: (pa.float64(), lambda value: isinstance(value, float)),
        Kind.BOOL: (pa.bool_(), lambda value: isinstance(value, bool)),
        Kind.BYTES: (pa.large_binary(), lambda value: isinstance(value, bytes)),
        Kind.DATE: (pa.date32(), lambda value: isinstance(value, dt.date)),
        Kind.TIMESTAMP: (pa.timestamp("us"), lambda value: isinstance(value, dt.datetime)),
        Kind.TIMESTAMP_ZONED: (pa.timestamp("us", "UTC"), lambda value: isinstance(value, dt.datetime)),
        Kind.TIME: (pa.time64("us"), lambda value: isinstance(value, dt.time) and value.tzinfo is None),
    }
    if kind in (Kind.UUID, Kind.ANY):
        return pa.large_string(), lambda _: False
    return forms.get(kind, (pa.large_string(), lambda value: isinstance(value, str)))


def _decimal_fits(value: Any, precision: int, scale: int) -> bool:
    if not isinstance(value, Decimal) or not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    digits = value.adjusted() + 1 if value else 0
    return isinstance(exponent, int) and -exponent <= scale and digits <= precision - scale


def write_parquet(archive: ArchiveFile, out: BinaryIO) -> int:
    """Parquet with the columns' own types.

    A column with a value that its type can't hold (infinity, 30 February, text in a number's place) is written as text,
    or where its values are of several types as JSON; the field's metadata says which (``purgekit.form``) and names
    the database's type.
    """
    pa = _pyarrow()
    forms = [_Form(pa, column) for column in archive.columns]
    for _, plain, values in archive.records():
        for form, raw, value in zip(forms, plain, values, strict=True):
            form.see(raw, value)
    header = archive.header
    notes = {"purgekit.table": header.table, "purgekit.run_id": header.run_id, "purgekit.policy": header.policy}
    schema = pa.schema([form.field() for form in forms], metadata=notes)
    rows = 0
    with pa.parquet.ParquetWriter(out, schema, compression="zstd") as writer:
        group: list[list[Any]] = [[] for _ in forms]
        group_bytes = 0
        for line, plain, values in archive.records():
            for into, form, raw, value in zip(group, forms, plain, values, strict=True):
                into.append(form.convert(raw, value))
            group_bytes += len(line)
            rows += 1
            if group_bytes >= MOST_BYTES_IN_GROUP or len(group[0]) >= MOST_ROWS_IN_GROUP:
                writer.write_table(pa.Table.from_pydict(dict(zip(schema.names, group, strict=True)), schema=schema))
                group, group_bytes = [[] for _ in forms], 0
        if group[0]:
            writer.write_table(pa.Table.from_pydict(dict(zip(schema.names, group, strict=True)), schema=schema))
    return rows

"""The rows: an identity server's session store, each row a pure function of its number."""

from __future__ import annotations

import functools
import hashlib
import random
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

TABLE = "IDN_AUTH_SESSION_STORE"
COLUMNS = ("SESSION_ID", "SESSION_TYPE", "OPERATION", "SESSION_OBJECT", "TIME_CREATED", "TENANT_ID", "EXPIRY_TIME")
KEY = ("SESSION_ID", "SESSION_TYPE", "TIME_CREATED", "OPERATION")
# As the product makes them; the fourth came with its later versions.
INDEXES = {
    "IDX_TIME": "TIME_CREATED",
    "IDX_ST_OP_ID_TM": "OPERATION, SESSION_TYPE, SESSION_ID, TIME_CREATED",
    "IDX_ET_ID": "EXPIRY_TIME, SESSION_ID",
    "IDX_ID_TYPE_TM": "SESSION_ID, SESSION_TYPE, TIME_CREATED DESC",
}

# A fixed instant in the past, so that a template built weeks ago is still the same data.
NOW_S = 1_767_225_600  # 2026-01-01T00:00:00Z
NOW_TEXT = "2026-01-01T00:00:00Z"
SECOND_NS = 10**9
HOUR_NS = 3_600 * SECOND_NS
DAY_NS = 24 * HOUR_NS
NOW_NS = NOW_S * SECOND_NS
CUTOFF_NS = NOW_NS - 7 * DAY_NS

# The row with its primary key's entry and the storage's own overhead takes this much without a session object.
BARE_ROW_BYTES = 300
KINDS = (
    *["AppAuthFrameworkSessionContextCache"] * 6,
    *["OAuthSessionDataCache"] * 3,
    "SAMLSSOSessionIndexCache",
)
_POOL = random.Random(3).randbytes(1 << 20)  # objects are cut from it: quick, and nothing compresses them
_POOL_HEX = _POOL.hex()

Row = tuple[str, str, str, bytes, int, int, int]


@dataclass(frozen=True)
class Shape:
    """What a table of a run looks like. ``share``: per cent of the rows that are purgeable."""

    rows: int = 1_000_000
    share: int = 80
    row_bytes: int = 900
    indexes: int = 3
    order: str = "time"  # in which the rows were written: "time" or "shuffled"

    @property
    def name(self) -> str:
        return f"r{self.rows}_s{self.share}_b{self.row_bytes}_i{self.indexes}_{self.order}"

    @property
    def purgeable(self) -> int:
        return self.rows * self.share // 100

    @property
    def object_bytes(self) -> int:
        return self.row_bytes - BARE_ROW_BYTES

    @property
    def survivors(self) -> Survivors:
        """What must be left; follows from the definition of the rows alone."""
        return expected(self)

    def __str__(self) -> str:
        return (
            f"{self.rows:,} rows of {self.row_bytes} bytes, {self.share} % purgeable, {self.indexes} secondary indexes,"
            f" written in {'time order' if self.order == 'time' else 'random order'}"
        )


@dataclass(frozen=True)
class Survivors:
    """Count of the rows left, and two sums over their keys."""

    rows: int
    first: int
    second: int

    def plus(self, keys: Sequence[str]) -> Survivors:
        """With rows of these keys added."""
        sums = [sum(int(key[at : at + 8], 16) for key in keys) for at in (0, 8)]
        return Survivors(self.rows + len(keys), self.first + sums[0], self.second + sums[1])


@functools.lru_cache
def expected(shape: Shape) -> Survivors:
    first = second = 0
    for number in range(shape.purgeable, shape.rows):
        digest = _digest(number)
        first += int.from_bytes(digest[0:4], "big")
        second += int.from_bytes(digest[4:8], "big")
    return Survivors(shape.rows - shape.purgeable, first, second)


def _digest(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def key_of(number: int) -> str:
    """The SESSION_ID of a row. Rows below ``shape.purgeable`` are the purgeable ones."""
    return _digest(number).hex()


def numbers(shape: Shape) -> Sequence[int]:
    """The rows' numbers in the order in which they are written. Number order is time order."""
    if shape.order == "time":
        return range(shape.rows)
    shuffled = array("q", range(shape.rows))
    random.Random(1).shuffle(shuffled)
    return shuffled


def _fields(shape: Shape) -> Iterator[tuple[str, str, int, int, int]]:
    """SESSION_ID, SESSION_TYPE, place of the object in the pool, TIME_CREATED, EXPIRY_TIME."""
    old = shape.purgeable
    # A day between the youngest purgeable creation and the cutoff, so that a rule on the expiry picks the same rows.
    old_step = 22 * DAY_NS // max(1, old)
    live_step = 6 * DAY_NS // max(1, shape.rows - old)
    room = len(_POOL) - shape.object_bytes
    for number in numbers(shape):
        digest = _digest(number)
        jitter = int.from_bytes(digest[8:16], "big")
        more = int.from_bytes(digest[16:24], "big")
        if number < old:
            created = NOW_NS - 30 * DAY_NS + number * old_step + jitter % old_step
            expires = created + HOUR_NS + more % (22 * HOUR_NS)
        else:
            created = NOW_NS - 6 * DAY_NS + (number - old) * live_step + jitter % live_step
            expires = NOW_NS + DAY_NS + more % (13 * DAY_NS)
        yield digest.hex(), KINDS[digest[24] % 10], int.from_bytes(digest[25:29], "big") % room, created, expires


def rows(shape: Shape) -> Iterator[Row]:
    """For drivers that take parameters."""
    size = shape.object_bytes
    for key, kind, at, created, expires in _fields(shape):
        yield key, kind, "STORE", _POOL[at : at + size], created, -1234, expires


def lines(shape: Shape, hex_prefix: str) -> Iterator[str]:
    """For bulk loaders: one row a line, fields between tabs, the object in hexadecimal digits."""
    size = shape.object_bytes
    for key, kind, at, created, expires in _fields(shape):
        body = _POOL_HEX[2 * at : 2 * (at + size)]
        yield f"{key}\t{kind}\tSTORE\t{hex_prefix}{body}\t{created}\t-1234\t{expires}\n"


def create_table(blob: str, suffix: str = "") -> str:
    """The CREATE TABLE statement in the three dialects' common words."""
    return f"""CREATE TABLE {TABLE} (
        SESSION_ID VARCHAR(100) NOT NULL, SESSION_TYPE VARCHAR(100) NOT NULL, OPERATION VARCHAR(10) NOT NULL,
        SESSION_OBJECT {blob}, TIME_CREATED BIGINT NOT NULL, TENANT_ID INTEGER DEFAULT -1, EXPIRY_TIME BIGINT,
        PRIMARY KEY ({", ".join(KEY)})){suffix}"""


def create_indexes(shape: Shape) -> list[str]:
    """CREATE INDEX for as many as the shape has."""
    chosen = list(INDEXES.items())[: shape.indexes]
    return [f"CREATE INDEX {name} ON {TABLE} ({columns})" for name, columns in chosen]


@dataclass(frozen=True)
class Rule:
    """What is purgeable, for everybody. Both rules pick the same rows of the data; they differ in the column."""

    by: str = "created"  # or "expiry"

    @property
    def column(self) -> str:
        return "TIME_CREATED" if self.by == "created" else "EXPIRY_TIME"

    @property
    def index(self) -> str:
        return "IDX_TIME" if self.by == "created" else "IDX_ET_ID"

    @property
    def condition(self) -> str:
        return f"{self.column} < {CUTOFF_NS}"

    @property
    def policy(self) -> str:
        """As a policy file."""
        rule = (
            'created = { column = "TIME_CREATED", unit = "ns", lifetime = "7d" }\ngrace = "0s"'
            if self.by == "created"
            else 'expired = { column = "EXPIRY_TIME", unit = "ns" }\ngrace = "7d"'
        )
        return f'[[policy]]\nname = "sessions"\ntable = "{TABLE}"\n{rule}\n'

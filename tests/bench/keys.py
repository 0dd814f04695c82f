"""What an application pays for cleaning up one token when it revokes it: purge_keys, and its bare DELETEs."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import purgekit as pk
from bench.place import BenchFailed
from bench.report import table as markdown
from servers import Connection, connect

TOKENS, SCOPES = "TOKENS", "TOKEN_SCOPES"
SCOPES_A_TOKEN = 2
STATEMENTS = (
    f"CREATE TABLE {TOKENS} (TOKEN_ID VARCHAR(60) PRIMARY KEY, STATE VARCHAR(20) NOT NULL, EXPIRES BIGINT)",
    f"CREATE TABLE {SCOPES} (SCOPE_ID BIGINT PRIMARY KEY, TOKEN_ID VARCHAR(60) NOT NULL, NAME VARCHAR(60), "
    f"FOREIGN KEY (TOKEN_ID) REFERENCES {TOKENS} (TOKEN_ID) ON DELETE CASCADE)",
    f"CREATE INDEX {SCOPES}_TOKEN ON {SCOPES} (TOKEN_ID)",
)
POLICY = pk.Policy(
    "tokens",
    table=TOKENS,
    where=(pk.col("STATE") == "REVOKED") | pk.expired("EXPIRES", unit="s"),
    dependents=[pk.dependent(SCOPES, on={"TOKEN_ID": "TOKEN_ID"})],
)


def compare(url: str, backend: str, tokens: int, repeats: int, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Token after token, one in each way by turns, so that whatever else the machine does meets all of them."""
    records = []
    with contextlib.closing(connect(url)) as connection:
        for statement in STATEMENTS:
            connection.cursor().execute(statement)
        for number in range(repeats):
            ways = _ways(connection, url)
            times: dict[str, list[float]] = {name: [] for name, _ in ways}
            _fill(connection, url, number, tokens * len(ways))
            with contextlib.ExitStack() as stack:
                calls = [(name, stack.enter_context(opened)) for name, opened in ways]
                for key in range(tokens):
                    for place, (name, call) in enumerate(calls):
                        token = _name(number, key * len(ways) + place)
                        begun = time.perf_counter()
                        call(token)
                        times[name].append(1_000 * (time.perf_counter() - begun))
            _check_empty(connection)
            for name, _ in ways:
                # The first calls make statements ready, on either side.
                record = {"backend": backend, "round": number, "contestant": name, "ms": median(times[name][10:])}
                records.append(record)
                say(f"{backend}: {name}: {record['ms']:.3f} ms")
    return records


def table(records: Sequence[dict[str, Any]]) -> str:
    """Medians over the rounds, and the multiple of the bare DELETEs."""
    rows = []
    names = list(dict.fromkeys(record["contestant"] for record in records))
    bare: float | None = None
    for name in names:
        ms = median(record["ms"] for record in records if record["contestant"] == name)
        bare = bare if bare is not None else ms
        rows.append([name, f"{ms:.3f}", f"{ms / bare:.2f}"])
    return markdown(["one token with its scopes", "ms", "x bare DELETEs"], rows)


def _ways(connection: Connection, url: str) -> list[tuple[str, Any]]:
    return [
        ("bare DELETEs", contextlib.nullcontext(_bare(connection, url))),
        ("purge_keys", _purging(url, archive=False)),
        ("purge_keys, kept in a table", _purging(url, archive=True)),
    ]


def _bare(connection: Connection, url: str) -> Callable[[str], object]:
    mark = "?" if url.startswith("sqlite") else "%s"

    def delete(token: str) -> None:
        cursor = connection.cursor()
        cursor.execute("BEGIN")
        for name in (SCOPES, TOKENS):
            cursor.execute(f"DELETE FROM {name} WHERE TOKEN_ID = {mark}", (token,))
        cursor.execute("COMMIT")

    return delete


@contextlib.contextmanager
def _purging(url: str, *, archive: bool) -> Any:
    with pk.connect(url) as db:
        db.purge_keys(POLICY, ["nobody's"], archive=archive)

        def call(token: str) -> None:
            if db.purge_keys(POLICY, [token], archive=archive).rows_deleted != 1:
                raise BenchFailed(f"token {token} was not purged")

        yield call


def _name(number: int, key: int) -> str:
    return f"{number:03}-{key * 2_654_435_761 % 2**32:08x}-{key:012}"


def _fill(connection: Connection, url: str, number: int, tokens: int) -> None:
    mark = "?" if url.startswith("sqlite") else "%s"
    three = f"({mark}, {mark}, {mark})"
    cursor = connection.cursor()
    cursor.execute("BEGIN")
    for start in range(0, tokens, 100):
        part = range(start, min(start + 100, tokens))
        values = [value for key in part for value in (_name(number, key), "REVOKED", 2**31)]
        cursor.execute(f"INSERT INTO {TOKENS} VALUES " + ", ".join([three] * len(part)), values)
        scopes = [
            (key * SCOPES_A_TOKEN + n, _name(number, key), "openid") for key in part for n in range(SCOPES_A_TOKEN)
        ]
        one = ", ".join([three] * len(scopes))
        cursor.execute(f"INSERT INTO {SCOPES} VALUES {one}", [value for scope in scopes for value in scope])
    cursor.execute("COMMIT")


def _check_empty(connection: Connection) -> None:
    for name in (TOKENS, SCOPES):
        cursor = connection.cursor()
        cursor.execute(f"SELECT COUNT(*) FROM {name}")
        ((left,),) = cursor.fetchall()
        if left:
            raise BenchFailed(f"{left} rows of {name} were left")

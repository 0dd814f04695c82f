"""Rows named by their keys: only those that the policy takes go, with their dependents, and no hold is missed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

import purgekit as pk
from engine.restores import archive_of, rows, suffix
from engine.restores import execute as execute_one
from engine.tables import HOUR_S, TABLE, make_sessions, mark, now_s, sessions_policy, survivors, through
from servers import Action, Connection, TcpProxy

Admin = Callable[[str], Connection]

TOKENS = "TOKENS"
SCOPES = "SCOPES"
CLAIMS = "CLAIMS"


def execute(connection: Connection, *statements: str) -> None:
    for statement in statements:
        execute_one(connection, statement)


def make_tokens(connection: Connection, url: str, tokens: int) -> None:
    """Tokens t0, t1, …: every second is revoked, every third past its time; each with two scopes and their claims."""
    execute(
        connection,
        f"CREATE TABLE {TOKENS} (TOKEN_ID VARCHAR(60) PRIMARY KEY, STATE VARCHAR(20), EXPIRES BIGINT){suffix(url)}",
        f"CREATE TABLE {SCOPES} (SCOPE_ID BIGINT PRIMARY KEY, TOKEN_ID VARCHAR(60) NOT NULL, NAME VARCHAR(60), "
        f"FOREIGN KEY (TOKEN_ID) REFERENCES {TOKENS} (TOKEN_ID) ON DELETE CASCADE){suffix(url)}",
        f"CREATE INDEX SCOPES_TOKEN ON {SCOPES} (TOKEN_ID)",
        f"CREATE TABLE {CLAIMS} (CLAIM_ID BIGINT PRIMARY KEY, SCOPE_ID BIGINT NOT NULL, "
        f"FOREIGN KEY (SCOPE_ID) REFERENCES {SCOPES} (SCOPE_ID)){suffix(url)}",
        f"CREATE INDEX CLAIMS_SCOPE ON {CLAIMS} (SCOPE_ID)",
    )
    m = mark(url)
    cursor = connection.cursor()
    for n in range(tokens):
        expires = now_s() + (-5 if n % 3 == 0 else 5) * HOUR_S
        cursor.execute(
            f"INSERT INTO {TOKENS} VALUES ({m}, {m}, {m})", (f"t{n}", "REVOKED" if n % 2 else "ACTIVE", expires)
        )
        for scope in (2 * n, 2 * n + 1):
            cursor.execute(f"INSERT INTO {SCOPES} VALUES ({m}, {m}, {m})", (scope, f"t{n}", f"scope {scope}"))
            cursor.execute(f"INSERT INTO {CLAIMS} VALUES ({m}, {m})", (scope, scope))


def is_dead(n: int) -> bool:
    return n % 2 == 1 or n % 3 == 0


def tokens_policy(**changes: Any) -> pk.Policy:
    return pk.Policy(
        "tokens",
        table=TOKENS,
        where=(pk.col("STATE") == "REVOKED") | pk.expired("EXPIRES", unit="s", grace="2h"),
        dependents=[
            pk.dependent(SCOPES, on={"TOKEN_ID": "TOKEN_ID"}),
            pk.dependent(CLAIMS, on={"SCOPE_ID": "SCOPE_ID"}, of=SCOPES),
        ],
        **changes,
    )


def values(connection: Connection, table: str, column: str) -> list[Any]:
    return [row[0] for row in rows(connection, f"SELECT {column} FROM {table} ORDER BY {column}")]


def test_only_given_keys_that_the_policy_takes_go(any_url: str, admin: Admin) -> None:
    checker = admin(any_url)
    make_tokens(checker, any_url, 12)
    given = ["t0", "t1", "t2", "t4", "t6", "nobody's", "t0"]
    with pk.connect(any_url) as db:
        done = db.purge_keys(tokens_policy(), given)
        again = db.purge_keys(tokens_policy(), given)
        history = db.history()
    gone = {0, 1, 6}
    assert (done.keys, done.rows_deleted, done.rows_archived) == (7, 3, 0)
    counts = {t["table"].rpartition(".")[2].upper(): t["rows_deleted"] for t in done.tables}
    assert counts == {TOKENS: 3, SCOPES: 6, CLAIMS: 6}
    assert again.rows_deleted == 0
    assert set(values(checker, TOKENS, "TOKEN_ID")) == {f"t{n}" for n in range(12) if n not in gone}
    assert values(checker, SCOPES, "SCOPE_ID") == [s for s in range(24) if s // 2 not in gone]
    assert values(checker, CLAIMS, "CLAIM_ID") == values(checker, SCOPES, "SCOPE_ID")
    assert [(run["run_id"], run["rows_deleted"], run["status"]) for run in history] == [(done.run_id, 15, "completed")]


def test_calls_of_one_connection_share_a_record(any_url: str, admin: Admin) -> None:
    make_tokens(admin(any_url), any_url, 40)
    policy = tokens_policy()
    with pk.connect(any_url) as db:
        ids = {db.purge_keys(policy, [f"t{n}"]).run_id for n in range(40)}
        assert db.plan(tokens_policy(max_fraction=1.0)).policies
        ids |= {db.purge_keys(policy, [f"t{n}"]).run_id for n in range(40)}
        history = db.history()
    dead = sum(map(is_dead, range(40)))
    assert len(ids) == 1
    assert [(run["run_id"], run["rows_deleted"]) for run in history] == [(*ids, dead * 5)]


def test_rows_are_kept_and_can_come_back(any_url: str, admin: Admin) -> None:
    checker = admin(any_url)
    make_tokens(checker, any_url, 6)
    policy = tokens_policy()
    with pk.connect(any_url) as db:
        kept = db.purge_keys(policy, ["t1", "t2"], archive=True)
        gone = db.purge_keys(policy, ["t3"], archive=False)
        assert (kept.rows_deleted, kept.rows_archived) == (1, 5)
        assert (gone.rows_deleted, gone.rows_archived) == (1, 0)
        assert values(checker, archive_of(any_url, TOKENS), "TOKEN_ID") == ["t1"]
        assert len(values(checker, archive_of(any_url, CLAIMS), "CLAIM_ID")) == 2
        db.restore(kept.run_id)
        assert "t1" in values(checker, TOKENS, "TOKEN_ID")
        assert 2 in values(checker, CLAIMS, "CLAIM_ID")
        held = db.purge_keys(policy, ["t1"])
        assert held.rows_deleted == 0, "what came back is held"


def test_the_policys_own_archive_is_the_default(sqlite_url: str, admin: Admin) -> None:
    checker = admin(sqlite_url)
    make_tokens(checker, sqlite_url, 6)
    with pk.connect(sqlite_url) as db:
        assert db.purge_keys(tokens_policy(archive="table:dead_{table}"), ["t1"]).rows_archived == 5
        assert db.purge_keys(tokens_policy(archive="table:dead_{table}"), ["t3"], archive=False).rows_archived == 0
    assert values(checker, f"dead_{TOKENS}", "TOKEN_ID") == ["t1"]


def test_holds_are_obeyed_at_once_and_let_go_at_once(any_url: str, admin: Admin) -> None:
    make_tokens(admin(any_url), any_url, 12)
    policy = tokens_policy()
    with pk.connect(any_url) as db, pk.connect(any_url) as lawyer:
        assert db.purge_keys(policy, ["t1"]).rows_deleted == 1
        on_token = lawyer.hold(TOKENS, keys=["t3"])
        assert db.purge_keys(policy, ["t3", "t5"]).rows_deleted == 1
        lawyer.hold(CLAIMS, where=pk.col("CLAIM_ID") == 14)  # goes with t7
        assert db.purge_keys(policy, ["t3", "t7", "t9"]).rows_deleted == 1
        lawyer.release(on_token.id)
        assert db.purge_keys(policy, ["t3", "t7"]).rows_deleted == 1


def test_a_row_that_others_refer_to_stays(any_url: str, admin: Admin) -> None:
    checker = admin(any_url)
    make_tokens(checker, any_url, 6)
    execute(
        checker,
        f"CREATE TABLE SESSIONS_OF (ID BIGINT PRIMARY KEY, TOKEN_ID VARCHAR(60), "
        f"FOREIGN KEY (TOKEN_ID) REFERENCES {TOKENS} (TOKEN_ID)){suffix(any_url)}",
        "INSERT INTO SESSIONS_OF VALUES (1, 't1')",
    )
    with pk.connect(any_url) as db:
        assert db.purge_keys(tokens_policy(), ["t1", "t3"]).rows_deleted == 1
    assert "t1" in values(checker, TOKENS, "TOKEN_ID")


def test_a_foreign_key_that_came_later_deletes_nothing_uncounted(any_url: str, admin: Admin) -> None:
    """The call that meets it is refused by the database and changes nothing, or leaves the row."""
    checker = admin(any_url)
    make_tokens(checker, any_url, 6)
    policy = tokens_policy()
    with pk.connect(any_url) as db:
        assert db.purge_keys(policy, ["t5"]).rows_deleted == 1
        execute(
            checker,
            f"CREATE TABLE LATER (ID BIGINT PRIMARY KEY, TOKEN_ID VARCHAR(60), "
        f"FOREIGN KEY (TOKEN_ID) REFERENCES {TOKENS} (TOKEN_ID)){suffix(any_url)}",
            "INSERT INTO LATER VALUES (1, 't1')",
        )
        with pytest.raises(pk.PurgekitError, match="nothing was changed"):
            db.purge_keys(policy, ["t1", "t3"])
        assert {"t1", "t3"} <= set(values(checker, TOKENS, "TOKEN_ID"))
        assert len(values(checker, SCOPES, "SCOPE_ID")) == 10


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ([1], "TOKEN_ID"),
        ([("t1", "t2")], "a key has 2 values, but the primary key of .*TOKENS is \\(TOKEN_ID\\)"),
        ([None], "NULL"),
        ([object()], "object"),
        ("t1", "keys is a list of keys, not str"),
        ([f"t{n}" for n in range(1001)], "1001 keys are more than one call takes \\(1000\\)"),
    ],
)
def test_wrong_keys_are_refused(sqlite_url: str, admin: Admin, keys: Sequence[object], said: str) -> None:
    checker = admin(sqlite_url)
    make_tokens(checker, sqlite_url, 4)
    with pk.connect(sqlite_url) as db:
        with pytest.raises(pk.PolicyError, match=said):
            db.purge_keys(tokens_policy(), keys)
        assert db.purge_keys(tokens_policy(), []).rows_deleted == 0
        assert len(values(checker, TOKENS, "TOKEN_ID")) == 4
        assert db.purge_keys(tokens_policy(), ["t1"]).rows_deleted == 1, "the connection goes on"


def test_a_thousand_keys_and_composite_keys(any_url: str, admin: Admin) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - HOUR_S * (5 if n % 2 else -5) for n in range(1_200)])
    execute(
        checker, f"CREATE TABLE PAIRS (A BIGINT, B VARCHAR(9), EXPIRES BIGINT, PRIMARY KEY (A, B)){suffix(any_url)}"
    )
    for n in range(12):
        execute(checker, f"INSERT INTO PAIRS VALUES ({n % 3}, 'b{n}', {now_s() - 5 * HOUR_S})")
    pairs = pk.Policy("pairs", table="PAIRS", where=pk.expired("EXPIRES", unit="s"))
    with pk.connect(any_url) as db:
        assert db.purge_keys(sessions_policy(), list(range(1, 1_001))).rows_deleted == 500
        assert db.purge_keys(pairs, [(0, "b0"), (1, "b1"), (2, "b0")]).rows_deleted == 2
        with pytest.raises(pk.PolicyError, match="201 keys are more than one call takes"):
            db.purge_keys(pairs, [(0, f"b{n}") for n in range(201)])
    assert len(survivors(checker)) == 700
    assert len(values(checker, "PAIRS", "B")) == 10


def test_what_cannot_be_purged_by_keys_is_refused(any_url: str, admin: Admin, tmp_path: Any) -> None:
    checker = admin(any_url)
    make_sessions(checker, any_url, [now_s() - 5 * HOUR_S])
    execute(checker, f"CREATE TABLE NO_KEY (EXPIRES BIGINT){suffix(any_url)}")
    execute(
        checker,
        f"CREATE TABLE NANOS (ID BIGINT PRIMARY KEY, EXPIRES BIGINT){suffix(any_url)}",
        f"INSERT INTO NANOS VALUES (1, {now_s()})",
    )
    expired = pk.expired("EXPIRES", unit="s")
    with pk.connect(any_url) as db:
        refused: list[tuple[pk.Policy, dict[str, Any], str]] = [
            (pk.Policy("p", table="NO_KEY", where=expired), {}, "no primary key"),
            (pk.Policy("p", table="NOWHERE", where=expired), {}, "no table NOWHERE"),
            (pk.Policy("p", table="NOWHERE", where=expired, optional=True), {}, "no table NOWHERE"),
            (pk.Policy("p", table="NANOS", where=pk.expired("EXPIRES", unit="ns")), {}, "1990"),
            (sessions_policy(archive=f"{tmp_path}/"), {}, "archive tables only"),
            (sessions_policy(approval="required"), {}, "approval"),
            (sessions_policy(), {"archive": "files/"}, "tables only"),
        ]
        for policy, options, said in refused:
            with pytest.raises(pk.PurgekitError, match=said) as caught:
                db.purge_keys(policy, [1], **options)
            assert caught.value.policy in ("", None, policy.name)
        assert db.purge_keys(sessions_policy(), [1], ledger="none").rows_deleted == 1
        assert db.history() == []


def test_a_locked_row_is_waited_for_and_then_said(server_url: str, admin: Admin) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * 3)
    holder = admin(server_url)
    cursor = holder.cursor()
    with pk.connect(server_url, lock_wait_ms=1_000) as db:
        db.purge_keys(sessions_policy(), [3])
        cursor.execute("BEGIN")
        cursor.execute(f"UPDATE {TABLE} SET NOTE = 'mine' WHERE ID = 1")
        with pytest.raises(
            pk.PurgeFailed, match="nothing was changed: a transaction of somebody holds a row"
        ) as caught:
            db.purge_keys(sessions_policy(), [1, 2])
        assert caught.value.retryable
        cursor.execute("ROLLBACK")
        assert db.purge_keys(sessions_policy(), [1, 2]).rows_deleted == 2


def test_a_row_renewed_meanwhile_survives(server_url: str, admin: Admin) -> None:
    """Before each message of the call another session renews a row, as long as it can get hold of it."""
    checker = admin(server_url)
    is_mysql = server_url.startswith("mysql:")  # whose shortest wait for a lock is a second
    calls = 14 if is_mysql else 60
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * calls)
    renewer = admin(server_url).cursor()
    if server_url.startswith("postgresql"):
        renewer.execute("SET lock_timeout = '5ms'")
    else:
        renewer.execute(f"SET SESSION innodb_lock_wait_timeout = {int(is_mysql)}")
    renewed: set[int] = set()
    number = 0
    m = mark(server_url)

    def renew(_content: bytes) -> Action:
        try:
            renewer.execute(f"UPDATE {TABLE} SET EXPIRES = {m} WHERE ID = {m}", (now_s() + HOUR_S * 24, number))
            if renewer.rowcount == 1:
                renewed.add(number)
        except Exception as error:  # locked by the call in hand, which has taken it
            assert "lock" in str(error).lower()
        return Action.PASS

    parts = urlsplit(server_url)
    assert parts.port is not None
    deleted = 0
    policy = sessions_policy()
    with TcpProxy("127.0.0.1", parts.port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        db.purge_keys(policy, [1_000])
        messages = 0

        def at(wanted: int) -> Callable[[bytes], Action]:
            def hook(content: bytes) -> Action:
                nonlocal messages
                messages += 1
                return renew(content) if messages == wanted else Action.PASS

            return hook

        for number in range(1, calls + 1):
            messages = 0
            proxy.on_client_bytes = at(number % 9 + 1)
            deleted += db.purge_keys(policy, [number]).rows_deleted
            proxy.on_client_bytes = None
    assert renewed and deleted
    assert survivors(checker) == renewed
    assert deleted == calls - len(renewed)


def test_a_hold_that_is_added_meanwhile_is_not_missed(server_url: str, admin: Admin) -> None:
    """Calls by one session, a hold by another: what was held when hold() returned is there in the end."""
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * 400)
    policy = sessions_policy()
    at_work = threading.Event()

    def purge() -> int:
        deleted = 0
        with pk.connect(server_url) as db:
            for number in range(1, 401):
                deleted += db.purge_keys(policy, [number]).rows_deleted
                at_work.set()
        return deleted

    with ThreadPoolExecutor(1) as pool, pk.connect(server_url) as lawyer:
        deleted = pool.submit(purge)
        at_work.wait()
        held: set[int] = set()
        for first in (401, 300, 200, 350):
            lawyer.hold(TABLE, keys=list(range(first, first + 20)))
            held |= survivors(checker) & set(range(first, first + 20))
        assert deleted.result() == 400 - len(survivors(checker))
    assert held <= survivors(checker)


def test_threads_share_a_connection_and_connections_share_a_table(any_url: str, admin: Admin) -> None:
    checker = admin(any_url)
    make_tokens(checker, any_url, 40)
    policy = tokens_policy()
    with (
        pk.connect(any_url, lock_wait_ms=20_000) as one,
        pk.connect(any_url, lock_wait_ms=20_000) as other,
        ThreadPoolExecutor(6) as pool,
    ):
        done = list(pool.map(lambda n: (one if n % 3 else other).purge_keys(policy, [f"t{n}"]).rows_deleted, range(40)))
        history = one.history()
    assert done == [int(is_dead(n)) for n in range(40)]
    assert sum(run["rows_deleted"] for run in history) == 5 * sum(done)


def test_a_connection_that_was_lost_in_between_is_made_anew(server_url: str, admin: Admin) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * 3)
    parts = urlsplit(server_url)
    assert parts.port is not None
    with TcpProxy("127.0.0.1", parts.port) as proxy, pk.connect(through(server_url, proxy.port)) as db:
        db.purge_keys(sessions_policy(), [1])
        proxy.cut()
        assert db.purge_keys(sessions_policy(), [2]).rows_deleted == 1
    assert survivors(checker) == {3}


def test_a_column_that_was_dropped_is_found_out(server_url: str, admin: Admin) -> None:
    checker = admin(server_url)
    make_sessions(checker, server_url, [now_s() - 5 * HOUR_S] * 3)
    policy = sessions_policy()
    with pk.connect(server_url) as db:
        db.purge_keys(policy, [1])
        execute(checker, f"ALTER TABLE {TABLE} DROP COLUMN EXPIRES")
        with pytest.raises(pk.PurgekitError, match="EXPIRES"):
            db.purge_keys(policy, [2])
    assert survivors(checker) == {2, 3}

"""WSO2's token table and its audit table, in both shapes that the product has given it, filled with tokens."""

from __future__ import annotations

from typing import Any

import purgekit as pk
from engine.restores import execute
from engine.tables import mark
from servers import Connection

TOKENS = "IDN_OAUTH2_ACCESS_TOKEN"
AUDIT = "IDN_OAUTH2_ACCESS_TOKEN_AUDIT"
SHARED = (
    "TOKEN_ID, ACCESS_TOKEN, REFRESH_TOKEN, CONSUMER_KEY_ID, AUTHZ_USER, TENANT_ID, USER_DOMAIN, USER_TYPE, "
    "GRANT_TYPE, TIME_CREATED, REFRESH_TOKEN_TIME_CREATED, VALIDITY_PERIOD, REFRESH_TOKEN_VALIDITY_PERIOD, "
    "TOKEN_SCOPE_HASH, TOKEN_STATE, TOKEN_STATE_ID, SUBJECT_IDENTIFIER, ACCESS_TOKEN_HASH, REFRESH_TOKEN_HASH, IDP_ID"
)
LOST = ["TOKEN_BINDING_REF", "CONSENTED_TOKEN", "AUTHORIZED_ORGANIZATION"]
NOW = {"INVALIDATED_TIME": {"now": True}}

COLUMNS = """TOKEN_ID VARCHAR (255), ACCESS_TOKEN VARCHAR(2048), REFRESH_TOKEN VARCHAR(2048), CONSUMER_KEY_ID INTEGER,
 AUTHZ_USER VARCHAR (100), TENANT_ID INTEGER, USER_DOMAIN VARCHAR(50), USER_TYPE VARCHAR (25), GRANT_TYPE VARCHAR (50),
 TIME_CREATED TIMESTAMP {null}, REFRESH_TOKEN_TIME_CREATED TIMESTAMP {null}, VALIDITY_PERIOD BIGINT,
 REFRESH_TOKEN_VALIDITY_PERIOD BIGINT, TOKEN_SCOPE_HASH VARCHAR(32), TOKEN_STATE VARCHAR(25) {state},
 TOKEN_STATE_ID VARCHAR (128), SUBJECT_IDENTIFIER VARCHAR(255), ACCESS_TOKEN_HASH VARCHAR(512),
 REFRESH_TOKEN_HASH VARCHAR(512), IDP_ID INTEGER DEFAULT -1 NOT NULL"""


def _numbers_itself(url: str) -> str:
    if url.startswith("postgresql"):
        return "INTEGER DEFAULT nextval('AUDIT_PK_SEQ')"
    return "INTEGER" if url.startswith("sqlite") else "INTEGER NOT NULL AUTO_INCREMENT"


def make_tokens(connection: Connection, url: str, tokens: int, *, newer: bool = False) -> None:
    """Every third is active, the others are revoked or expired. ``newer``: the audit table with a key of its own."""
    suffix = " ENGINE=InnoDB DEFAULT CHARSET=latin1" if url.startswith(("mysql", "mariadb")) else ""
    own = COLUMNS.format(null="NULL", state="DEFAULT 'ACTIVE'")
    execute(
        connection,
        f"CREATE TABLE {TOKENS} ({own}, TOKEN_BINDING_REF VARCHAR (32) DEFAULT 'NONE', CONSENTED_TOKEN VARCHAR(6), "
        f"AUTHORIZED_ORGANIZATION VARCHAR(36) DEFAULT 'NONE' NOT NULL, PRIMARY KEY (TOKEN_ID)){suffix}",
    )
    key = ""
    if newer:
        if url.startswith("postgresql"):
            execute(connection, "CREATE SEQUENCE AUDIT_PK_SEQ")
        key = f"ID {_numbers_itself(url)}, "
    own = COLUMNS.format(null="NULL", state="")
    primary = ", PRIMARY KEY (ID)" if newer else ""
    execute(connection, f"CREATE TABLE {AUDIT} ({key}{own}, INVALIDATED_TIME TIMESTAMP NULL{primary}){suffix}")
    columns = f"{SHARED}, TOKEN_BINDING_REF"
    one = "(" + ", ".join([mark(url)] * len(columns.split(","))) + ")"
    rows = [token(n) for n in range(tokens)]
    cursor = connection.cursor()
    for start in range(0, len(rows), 40):
        part = rows[start : start + 40]
        cursor.execute(
            f"INSERT INTO {TOKENS} ({columns}) VALUES " + ", ".join([one] * len(part)), [v for row in part for v in row]
        )


def token(n: int) -> tuple[Any, ...]:
    created = f"2024-0{1 + n % 9}-1{n % 10} 0{n % 10}:30:0{n % 7}"
    return (
        *(f"t{n:06}", f"access {n} \u00e9'\"\\", None if n % 5 == 0 else f"refresh {n}", n % 11),
        *(f"user{n % 7}", -1234, "PRIMARY", "APPLICATION_USER", "password", created, created),
        *(3_600_000, -1 if n % 2 else 86_400_000, "hash", ("ACTIVE", "REVOKED", "EXPIRED")[n % 3], "NONE"),
        *("subject", "x" * (n % 300), None, n % 3 - 1, f"binding {n}"),
    )


def token_policy(archive: Any, **changes: Any) -> pk.Policy:
    where = pk.col("TOKEN_STATE").isin(["REVOKED", "EXPIRED"])
    return pk.Policy("tokens", table=TOKENS, where=where, archive=archive, **changes)


def tokens_in(connection: Connection, table: str, columns: str = SHARED) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    cursor.execute(f"SELECT {columns} FROM {table} ORDER BY TOKEN_ID")
    return [tuple(row) for row in cursor.fetchall()]

"""Every table of the pack for Identity Server in one database, as many rows as are wanted, and what is left of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import purgekit as pk
from engine import wso2_tokens as tokens
from engine.wso2_cases import CASES, Case
from engine.wso2_tables import NOW, TABLES, Row, Tables
from engine.wso2_versions import left_of, row, sessions

STORE, TEMP = "IDN_AUTH_SESSION_STORE", "IDN_AUTH_TEMP_SESSION_STORE"
APP, USER = "IDN_AUTH_SESSION_APP_INFO", "IDN_AUTH_USER_SESSION_MAPPING"
# How a row is told apart in each table where it is not by its primary key's first column.
KEYS = {
    "IDN_OAUTH2_TOKEN_BINDING": "TOKEN_ID",
    "IDN_OAUTH2_ACCESS_TOKEN_SCOPE": "TOKEN_ID",
    "IDN_OAUTH2_AUTHZ_CODE_SCOPE": "CODE_ID",
    "IDN_OAUTH2_CIBA_REQUEST_SCOPES": "AUTH_CODE_KEY",
    "IDN_OAUTH2_REFRESH_TOKEN_SCOPE": "REFRESH_TOKEN_ID",
    "IDN_RECOVERY_DATA": "CODE",
    "WF_REQUEST_ENTITY_RELATIONSHIP": "REQUEST_ID",
}
# What makes one copy of a case another than the next.
OWN = {"ID", "UUID", "CODE_ID", "SCOPE_ID", "DEVICE_CODE", "REQUEST_ID", "RELATIONSHIP_ID", "RECOVERY_FLOW_ID"} | {
    *("AUTH_CODE_KEY", "REFRESH_TOKEN_ID", "PROPERTY_VALUE", "USER_NAME", "CODE", "SAML2_ISSUER", "SESSION_ID")
}
ROWS_A_CASE = 1_000
TOKENS_FROM = 500_000_000
PARAMS = {"audit_timezone": "Europe/Berlin", "keep_assertions": "2"}


def own(value: Any, copy: int) -> Any:
    """The value in copy number ``copy``."""
    if value is None or copy == 0:
        return value
    if isinstance(value, int):
        return value + copy * ROWS_A_CASE
    if len(value) == 36 and value.isdigit():
        return f"{int(value) + copy * ROWS_A_CASE:036}"
    return f"{value}.{copy}"


class Whole:
    """Rows are made and forgotten copy by copy: what is kept is who is to be left."""

    def __init__(self, tables: Tables, by: str) -> None:
        self.tables, self.by = tables, by
        self.expected: dict[str, Counter[Any]] = defaultdict(Counter)
        self.filled: Counter[str] = Counter()
        self._waiting: dict[tuple[str, tuple[str, ...]], list[Row]] = defaultdict(list)

    def make(self) -> None:
        names = [name for name in TABLES if not name.startswith(("REG_", "IDN_FED_", "IDN_AUTH_SESSION_META"))]
        self.tables.make(*names)

    def fill(self, copies: int, sessions_number: int) -> None:
        self._fill_sessions(sessions_number)
        for first in range(0, copies, 50):
            for copy in range(first, min(first + 50, copies)):
                self._add_tokens(copy)
                for case in CASES:
                    self._add(case, copy)
            self._write()

    def _write(self) -> None:
        """Parents first."""
        order = list(TABLES)
        for table, columns in sorted(self._waiting, key=lambda one: order.index(one[0])):
            self.tables.fill(table, self._waiting[table, columns])
            self.filled[table] += len(self._waiting[table, columns])
        self._waiting.clear()

    def _put(self, table: str, row_: Row, *, stays: bool) -> None:
        self._waiting[table, tuple(row_)].append(row_)
        if stays:
            self.expected[table][self._told(row_[self._key(table)])] += 1

    def _told(self, value: Any) -> Any:
        return value.strip() if isinstance(value, str) else value

    def _key(self, table: str) -> str:
        return KEYS.get(table) or next((case.key for case in CASES if case.table == table), TABLES[table].split()[0])

    def _fill_sessions(self, number: int) -> None:
        for seed, store in enumerate((STORE, TEMP)):
            ids: dict[str, bool] = {}
            for log in sessions(seed, number if store == STORE else number // 10):
                left = left_of(log, self.by, with_operations=store == STORE)
                for version in log:
                    self._put(store, row(version), stays=version in left)
                    ids[version.session] = ids.get(version.session, False) or bool(left)
                if len(ids) % 20_000 == 0:
                    self._write()
            if store == STORE:
                for n, (session, stays) in enumerate(ids.items()):
                    self._put(APP, {"SESSION_ID": session, "SUBJECT": "u", "APP_ID": 1}, stays=stays)
                    self._put(USER, {"ID": n, "USER_ID": "u", "SESSION_ID": session}, stays=stays)
            self._write()

    def _add_tokens(self, copy: int) -> None:
        rows = tokens.all_tokens()
        ids = [f"{one['TOKEN_ID']}.{copy}" for one in rows]
        stays = {id_: not tokens.goes(one, {}) for id_, one in zip(ids, rows, strict=True)}
        for id_, one in zip(ids, rows, strict=True):
            self._put(tokens.TOKEN, {**tokens.stored(one), "TOKEN_ID": id_}, stays=stays[id_])
        side_rows = tokens.sides(ids, TOKENS_FROM + copy * ROWS_A_CASE)
        by_number = {one["ID"]: one["TOKEN_ID"] for one in side_rows["IDN_OIDC_REQ_OBJECT_REFERENCE"]}
        for table, some in side_rows.items():
            for one in some:
                owner = one["TOKEN_ID"] if "TOKEN_ID" in one else by_number[one["ID"]]
                self._put(table, one, stays=owner is None or stays[owner])

    def _add(self, case: Case, copy: int) -> None:
        mine = OWN | {case.key}

        def of_copy(one: Row) -> dict[str, Any]:
            return {name: own(value, copy) if name in mine else value for name, value in one.items() if name != "GOES"}

        left = {own(one[case.key], copy) for one in case.rows if not one["GOES"]}
        for one in case.rows:
            self._put(case.table, of_copy(one), stays=not one["GOES"])
        for table, rows in case.others.items():
            column = case.left_with_key.get(table)
            for one in rows:
                if copy == 0 or mine & one.keys():
                    made = of_copy(one)
                    self._put(table, made, stays=column is None or made[column] in left)

    def plan(self, db: pk.Database) -> pk.Plan:
        """Of the whole pack."""
        # MariaDB's TIMESTAMP knows its zone: the wall clock that it shows is what was written there.
        wall = {"stored": "wall"} if self.tables.is_mysql else {}
        return db.plan(pk.load_policies("wso2-is", params={**PARAMS, **wall, "by": self.by}), now=NOW)

    def wrong(self) -> dict[str, tuple[int, int]]:
        """Of each table whose rows are not those expected: how many are too few, and too many."""
        found = {}
        for table in self.filled:
            there = Counter(self.tables.column(table, self._key(table)))
            few, many = self.expected[table] - there, there - self.expected[table]
            if few or many:
                found[table] = (few.total(), many.total())
        return found

"""What the WSO2 packs offer, tell and refuse, on SQLite: absent tables and columns, parameters, units."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import purgekit as pk
from command import purgekit
from purgekit.packs import find_pack, pack_names

IS = (
    "sessions",
    "temp-sessions",
    "session-operations",
    "session-orphans",
    "tokens",
    "authorization-codes",
    "ciba-codes",
    "device-codes",
    "par-requests",
    "refresh-tokens",
    "revoked-tokens",
    "revoked-events",
    "token-audit",
    "jti",
    "vc-nonces",
    "recovery-data",
    "recovery-flows",
    "flow-contexts",
    "workflow-requests",
    "saml-assertions",
    "saml-artifacts",
    "sts-store",
    "wait-status",
    "vp-sessions",
    "actions",
)
TOKENS = """
CREATE TABLE IDN_OAUTH2_ACCESS_TOKEN (TOKEN_ID VARCHAR(255) PRIMARY KEY, TIME_CREATED TIMESTAMP,
    REFRESH_TOKEN_TIME_CREATED TIMESTAMP, VALIDITY_PERIOD BIGINT, REFRESH_TOKEN_VALIDITY_PERIOD BIGINT,
    TOKEN_STATE VARCHAR(25))
"""
STORE = """
CREATE TABLE IDN_AUTH_SESSION_STORE (SESSION_ID VARCHAR(100), SESSION_TYPE VARCHAR(100), OPERATION VARCHAR(10),
    TIME_CREATED BIGINT, PRIMARY KEY (SESSION_ID, SESSION_TYPE, TIME_CREATED, OPERATION))
"""


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "app.db", isolation_level=None)) as connection:
        yield connection


def plan(tmp_path: Path, spec: str, **params: str) -> pk.Plan:
    with pk.connect(f"sqlite:///{tmp_path / 'app.db'}") as opened:
        return opened.plan(pk.load_policies(spec, params=params))


def test_the_names_that_others_call_by() -> None:
    assert set(IS) <= {policy.name for policy in find_pack("wso2-is").policies}
    of_apim = {policy.name for policy in find_pack("wso2-apim").policies}
    assert {*IS[:14], "registry-log", "registry-codes", "registry-orphans"} <= of_apim


@pytest.mark.parametrize("name", pack_names())
def test_every_policy_can_be_printed(name: str) -> None:
    (document,) = json.loads(purgekit("packs", name, "--json").stdout)["packs"]
    for policy in document["policies"]:
        assert policy["table"] and policy["rule"] and policy["grace"] and policy["note"]
        assert {p["name"] for p in policy["parameters"]} >= {"schema"}
        assert policy["tables"] == list(policy["rules"])
    shown = purgekit("packs", name, "--notes").stdout
    assert "--rehearse" in shown and "17 * * * *" in shown and "purgekit plan URL " in shown
    if name.startswith("wso2"):
        assert "deployment.toml" in shown and "vendor" in shown


def test_a_whole_pack_passes_over_tables_that_are_absent(tmp_path: Path, db: sqlite3.Connection) -> None:
    db.execute(TOKENS)
    planned = plan(tmp_path, "wso2-is")
    absent = [entry for entry in planned.policies if any(w["code"] == "table_absent" for w in entry["warnings"])]
    assert len(absent) == len(planned.policies) - 1
    with pk.connect(f"sqlite:///{tmp_path / 'app.db'}") as opened:
        report = opened.run(planned)
    assert report.exit_code == 0
    assert {entry["policy"]: entry.get("status") for entry in report.policies}["sessions"] == "skipped"


def test_a_database_without_any_of_the_tables_is_refused(tmp_path: Path, db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY)")
    with pytest.raises(pk.PolicyError, match=r"none of the tables.*IDN_AUTH_SESSION_STORE.*more"):
        plan(tmp_path, "wso2-is")
    with pytest.raises(pk.PolicyError, match=r"none of the tables.*IDN_OIDC_JTI"):
        plan(tmp_path, "wso2-is/jti")
    with pytest.raises(pk.PolicyError, match="no table IDN_AUTH_SESSION_STORE"):
        plan(tmp_path, "wso2-is/sessions")


def test_columns_of_another_age(tmp_path: Path, db: sqlite3.Connection) -> None:
    """Neither EXPIRY_TIME nor REFRESH_TOKEN nor a side table's SESSION_ID; the last one of another name."""
    db.execute(TOKENS)
    db.execute(STORE)
    db.execute("CREATE TABLE IDN_AUTH_SESSION_APP_INFO (SID VARCHAR(100))")
    planned = plan(tmp_path, "wso2-is/sessions")
    warnings = {w["code"]: w["message"] for w in planned.warnings}
    assert "IDN_AUTH_SESSION_APP_INFO" in warnings["dependent_absent"]
    assert plan(tmp_path, "wso2-is/tokens").rows_purgeable == 0
    with pytest.raises(pk.PolicyError, match="no column EXPIRY_TIME"):
        plan(tmp_path, "wso2-is/sessions", by="expiry")
    with pytest.raises(pk.PolicyError, match="no column REFRESH_TOKEN"):
        plan(tmp_path, "wso2-is/tokens", without_refresh="purge")


def test_a_unit_mistaken_is_noticed(tmp_path: Path, db: sqlite3.Connection) -> None:
    """Seconds in a column of nanoseconds lie in 1970."""
    db.execute(STORE)
    db.execute("INSERT INTO IDN_AUTH_SESSION_STORE VALUES ('s', 'web', 'STORE', 1700000000)")
    with (
        pk.connect(f"sqlite:///{tmp_path / 'app.db'}") as opened,
        pytest.raises(pk.PurgeRefused, match="TIME_CREATED"),
    ):
        opened.run(opened.plan(pk.load_policies("wso2-is/sessions"), max_fraction=1.0))
    assert db.execute("SELECT count(*) FROM IDN_AUTH_SESSION_STORE").fetchone() == (1,)


def test_states_that_no_rule_names_are_told(tmp_path: Path, db: sqlite3.Connection) -> None:
    db.execute(TOKENS)
    row = "INSERT INTO IDN_OAUTH2_ACCESS_TOKEN VALUES (?, '2020-01-01', '2020-01-01', 1, 1, ?)"
    db.executemany(row, [("a", "ACTIVE"), ("b", "PAUSED"), ("c", "REVOKED"), ("d", None)])
    planned = plan(tmp_path, "wso2-is/tokens")
    (message,) = [w["message"] for w in planned.warnings if w["code"] == "unknown_state"]
    assert message.startswith("1 rows have a TOKEN_STATE that no rule names")
    assert planned.rows_purgeable == 2


@pytest.mark.parametrize(
    ("spec", "params", "part"),
    [
        ("wso2-is/token", {}, "did you mean tokens"),
        ("wso2-apm", {}, "did you mean wso2-apim"),
        ("wso2-is/tokens", {"zero": "purged"}, "did you mean purge"),
        ("wso2-is/tokens", {"endless_ms": "soon"}, "whole number"),
        ("wso2-is/tokens", {"endless_ms": "0"}, "whole number"),
        ("wso2-is/tokens", {"partition": 'A"; --'}, "suffix of a table"),
        ("wso2-is/tokens", {"dead_grace": "2 fortnights"}, "grace"),
        ("wso2-is/tokens", {"timezone": "Mars/Phobos"}, "Mars/Phobos"),
        ("wso2-is/vp-sessions", {"vp_unit": "minutes"}, "not offered"),
        ("wso2-is/saml-assertions", {"keep_assertions": "-1"}, "whole number"),
        ("wso2-is/token-audit", {"audit_lifetime": "long"}, "lifetime"),
        ("wso2-is/jti", {"lifetime": "1d"}, "did you mean|unknown parameter"),
    ],
)
def test_refusals(tmp_path: Path, db: sqlite3.Connection, spec: str, params: dict[str, str], part: str) -> None:
    db.execute(TOKENS)
    with pytest.raises(pk.PolicyError, match=part):
        plan(tmp_path, spec, **params)


def test_a_schema_is_put_before_every_table() -> None:
    for name in pack_names():
        for entry in find_pack(name).policies:
            for built in entry.with_values({"schema": "iam"}):
                assert built.policy.table.startswith("iam.")
                assert all(child.table.startswith("iam.") for child in built.policy.dependents)
                text = built.policy.to_json()
                for part in text.split('"table":"')[1:]:
                    assert part.startswith("iam."), text


def test_what_somebody_may_have_to_keep_goes_only_when_it_is_named(tmp_path: Path, db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE django_session (session_key TEXT PRIMARY KEY, expire_date DATETIME)")
    db.execute("CREATE TABLE django_admin_log (id INTEGER PRIMARY KEY, action_time DATETIME)")
    assert "django_admin_log" not in {entry["table"] for entry in plan(tmp_path, "django").policies}
    assert [entry["table"] for entry in plan(tmp_path, "django/admin-log").policies] == ["django_admin_log"]
    assert "django/admin-log  (only when named)" in purgekit("packs", "django").stdout
    with pytest.raises(pk.PolicyError, match="unknown parameter 'admin_log_lifetime'"):
        plan(tmp_path, "django", admin_log_lifetime="9d")

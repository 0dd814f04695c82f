"""The pack for Identity Server on millions of rows in every one of its tables: what is left is what should be.

    cd tests && python -m engine.pack_scale --backend postgresql --rows 3000000

Starts a server of its own. Prints a line of JSON for each way of ageing sessions; exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import shutil
import sys
import time
from typing import Any

import purgekit as pk
from engine.kill_runs import BACKENDS, SERVERS
from engine.wso2_tables import Tables
from engine.wso2_whole import Whole
from servers import connect, make_base_dir

# Rows of one copy of all cases and tokens with what hangs on them, and of one session with its side rows.
ROWS_A_COPY, ROWS_A_SESSION = 2_850, 6
# Those that the product's own schema has beside its keys, and those that the plan asks for.
INDEXES = {
    "IDN_AUTH_SESSION_STORE": ("TIME_CREATED", "EXPIRY_TIME"),
    "IDN_AUTH_TEMP_SESSION_STORE": ("TIME_CREATED",),
    "IDN_AUTH_USER_SESSION_MAPPING": ("SESSION_ID",),
    "IDN_OAUTH2_ACCESS_TOKEN": ("TOKEN_STATE, TIME_CREATED",),
    "IDN_OAUTH2_TOKEN_BINDING": ("TOKEN_ID",),
    "IDN_OAUTH2_AUTHORIZATION_CODE": ("TOKEN_ID",),
    "IDN_OIDC_REQ_OBJECT_REFERENCE": ("TOKEN_ID", "CODE_ID"),
    "IDN_OIDC_REQ_OBJECT_CLAIMS": ("REQ_OBJECT_ID",),
    "IDN_OIDC_REQ_OBJ_CLAIM_VALUES": ("REQ_OBJECT_CLAIMS_ID",),
    "IDN_OAUTH2_CIBA_REQUEST_SCOPES": ("AUTH_CODE_KEY",),
    "IDN_OAUTH2_DEVICE_FLOW_SCOPES": ("SCOPE_ID",),
    "IDN_OAUTH2_REFRESH_TOKEN_SCOPE": ("REFRESH_TOKEN_ID",),
    "IDN_RECOVERY_DATA": ("RECOVERY_FLOW_ID",),
    "WF_WORKFLOW_REQUEST_RELATION": ("REQUEST_ID",),
    "IDP_AUTHENTICATOR_PROPERTY": ("PROPERTY_VALUE",),
    "IDN_SAML2_ASSERTION_STORE": ("SAML2_ISSUER, SAML2_SUBJECT",),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="engine.pack_scale", description=__doc__)
    parser.add_argument("--backend", choices=BACKENDS, required=True)
    parser.add_argument("--rows", type=int, default=3_000_000, help="about so many in all tables together")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args(arguments)
    good = True
    base = make_base_dir()
    try:
        for by in ("created", "expiry"):
            with contextlib.ExitStack() as stack:
                url = f"sqlite:///{base / by}.db"
                if options.backend != "sqlite":
                    server = stack.enter_context(SERVERS[options.backend](base / by))
                    url = server.create_database("identity")
                found = purge(url, by, options.rows, options.workers)
            print(json.dumps({"backend": options.backend, **found}), flush=True)
            good = good and not found["wrong"] and found["exit_code"] == 0
    finally:
        shutil.rmtree(base, ignore_errors=True)
    return 0 if good else 1


def purge(url: str, by: str, rows: int, workers: int) -> dict[str, Any]:
    """Fill, purge with the whole pack, compare."""
    with contextlib.closing(connect(url)) as connection:
        if url.startswith("sqlite"):
            connection.cursor().execute("PRAGMA journal_mode = WAL")
            connection.cursor().execute("PRAGMA synchronous = OFF")
        whole = Whole(Tables(url, connection), by)
        whole.make()
        whole.fill(copies=max(rows // 2 // ROWS_A_COPY, 1), sessions_number=rows // 2 // ROWS_A_SESSION)
        for table, indexes in INDEXES.items():
            for number, columns in enumerate(indexes):
                whole.tables.cursor.execute(f"CREATE INDEX IX_{table}_{number} ON {table} ({columns})")
        if not url.startswith(("mysql", "mariadb")):
            whole.tables.cursor.execute("ANALYZE")
        with pk.connect(url) as db:
            plan = whole.plan(db)
            began_s = time.monotonic()
            report = db.run(plan, limits=pk.Limits(pace="fast", workers=workers))
            wall_s = time.monotonic() - began_s
        expected = sum(left.total() for left in whole.expected.values())
        return {
            "by": by,
            "tables": len(whole.filled),
            "rows": whole.filled.total(),
            "rows_deleted": report.rows_deleted,
            "rows_expected_gone": whole.filled.total() - expected,
            "chunks": sum(policy["chunks"] for policy in report.policies),
            "wall_s": round(wall_s, 1),
            "max_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
            "exit_code": report.exit_code,
            "warnings": sorted({warning["code"] for warning in plan.warnings}),
            "wrong": whole.wrong(),
        }


if __name__ == "__main__":
    sys.exit(main())

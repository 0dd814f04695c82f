"""The django pack on tables that Django's own migrations made, with rows that Django wrote.

What its own commands leave is what purgekit leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

import purgekit as pk
from conftest import NEEDS_SERVER
from packs.products import python_of, run
from purgekit.policies import load_all
from servers import Connection

pytestmark = pytest.mark.long  # Django is fetched by the first test
Admin = Callable[[str], Connection]
DATABASES = ["sqlite", pytest.param("postgresql", marks=NEEDS_SERVER), pytest.param("mariadb", marks=NEEDS_SERVER)]
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# Far enough from every boundary for the seconds between the two purges; of all kinds of fractions.
MINUTES = (-90_000, -1500, -200, -61, -5, 5, 61, 200)
AGES = [timedelta(minutes=m, microseconds=u) for m in MINUTES for u in (0, 7, 250_000)]
ROTATED = 900
AGES += [timedelta(minutes=1500) * n for n in range(1, 40)]


class Site:
    """A Django site on one database."""

    def __init__(self, url: str, *, time_zone: str = "Europe/Zurich", use_tz: bool = True) -> None:
        self.url = url
        settings = {"database": _database(url), "time_zone": time_zone, "use_tz": use_tz}
        self._env = {
            "SITE": json.dumps(settings),
            "DJANGO_SETTINGS_MODULE": "packs.django_settings",
            "PYTHONPATH": str(Path(__file__).resolve().parents[1]),
        }

    def manage(self, *commands: str, then: str = "") -> None:
        """Several commands in one process: Django takes longer to start than to run them."""
        lines = [f"call_command(*{command.split()!r}, verbosity=0)" for command in commands]
        start = "import django; django.setup(); from django.core.management import call_command"
        run([str(python_of("django")), "-c", "\n".join([start, *lines, then])], self._env)


def _database(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.path[1:]}
    engine = "postgresql" if parts.scheme == "postgresql" else "mysql"
    address = {"HOST": parts.hostname, "PORT": parts.port, "USER": parts.username, "PASSWORD": parts.password or ""}
    return {"ENGINE": f"django.db.backends.{engine}", "NAME": parts.path[1:], **address}


def row(model: str, key: Any, **fields: Any) -> dict[str, Any]:
    """As ``loaddata`` reads it."""
    return {"model": model, "pk": key, "fields": fields}


def sessions(iso: Callable[[datetime], str]) -> list[dict[str, Any]]:
    now = datetime.now(timezone.utc)
    return [
        row("sessions.session", f"key{n:04}", session_data="x" * (n % 50), expire_date=iso(now - age))
        for n, age in enumerate(AGES, 1)
    ]


def rows_of_a_site(iso: Callable[[datetime], str]) -> list[dict[str, Any]]:
    """For each age one row of every kind, and what hangs on it."""
    now = datetime.now(timezone.utc)
    rows = [*sessions(iso), row("auth.user", 1, username="u", password="", date_joined=iso(now))]
    rows.append(row("oauth2_provider.application", 1, client_id="c", user=1, created=iso(now), updated=iso(now)))
    # A refresh token that was rotated: the access token made from it is alive, and names it.
    rotated = {"user": 1, "application": 1, "created": iso(now - 90 * DAY), "updated": iso(now - 90 * DAY)}
    rows += [
        row("oauth2_provider.refreshtoken", ROTATED, token="r", access_token=None, revoked=iso(now - DAY), **rotated),
        row("oauth2_provider.accesstoken", ROTATED, token="a", token_checksum="a", expires=iso(now + DAY),
            source_refresh_token=ROTATED, **rotated),
    ]  # fmt: skip
    client = {"user_agent": "a", "ip_address": "192.0.2.1", "http_accept": "*", "path_info": "/"}
    for n, age in enumerate(AGES, 1):
        at = iso(now - age)
        result = {"date_created": at, "date_done": at, "content_type": "j", "content_encoding": "u"}
        state = ("SUCCESS", "FAILURE", "STARTED")[n % 3]
        who = {**client, "username": f"u{n}", "attempt_time": at}
        rows += [
            row("token_blacklist.outstandingtoken", n, user=1, jti=f"j{n}", token="t", created_at=None, expires_at=at),
            *([row("token_blacklist.blacklistedtoken", n, token=n, blacklisted_at=at)] if n % 2 else []),
            *oauth_tokens(n, at, iso(now - 90 * DAY)),
            row("django_celery_results.taskresult", n, task_id=f"t{n}", status=state, **result),
            row("django_celery_results.groupresult", n, group_id=f"g{n}", **result),
            row("admin.logentry", n, action_time=at, user=1, action_flag=1, object_repr="o", change_message=""),
            row("axes.accessattempt", n, **who, get_data="", post_data="", failures_since_start=3),
            row("axes.accessattemptexpiration", n, expires_at=at),
            row("axes.accesslog", n, **who, logout_time=None, session_hash=""),
            row("axes.accessfailurelog", n, **who, locked_out=False),
        ]
    return rows


def oauth_tokens(n: int, at: str, made: str) -> list[dict[str, Any]]:
    """An access token that expires then, every second one with an id token, and each kind of refresh token in turn."""
    times = {"created": made, "updated": made}
    same = {"user": 1, "application": 1, **times}
    id_token = [row("oauth2_provider.idtoken", n, jti=str(UUID(int=n)), expires=at, **same)] if n % 2 else []
    access = {"token": f"a{n}", "token_checksum": f"c{n}", "expires": at, "id_token": n if n % 2 else None, **same}
    refresh = {"token": f"r{n}", "access_token": n if n % 4 != 3 else None, "revoked": at if n % 4 == 1 else None}
    return [
        row("oauth2_provider.grant", n, code=f"g{n}", expires=at, redirect_uri="", **same),
        *id_token,
        row("oauth2_provider.accesstoken", n, source_refresh_token=None, **access),
        *([row("oauth2_provider.refreshtoken", n, **refresh, **same)] if n % 4 else []),
    ]


TABLES = {
    "oauth2_provider_grant": "id",
    "oauth2_provider_idtoken": "id",
    "oauth2_provider_accesstoken": "id",
    "oauth2_provider_refreshtoken": "id",
    "django_session": "session_key",
    "token_blacklist_outstandingtoken": "id",
    "token_blacklist_blacklistedtoken": "token_id",
    "django_celery_results_taskresult": "id",
    "django_celery_results_groupresult": "id",
    "django_admin_log": "id",
    "axes_accessattempt": "id",
    "axes_accessattemptexpiration": "access_attempt_id",
    "axes_accesslog": "id",
    "axes_accessfailurelog": "id",
}


NEVER_CLEANED = ("django_admin_log", "axes_accessattempt", "axes_accessattemptexpiration")
CELERY_CLEANUP = """\
from datetime import timedelta
from django_celery_results.models import GroupResult, TaskResult
for model in (TaskResult, GroupResult):
    model.objects.delete_expired(timedelta(days=1))
"""


def left(connection: Connection, *tables: str) -> dict[str, set[Any]]:
    cursor = connection.cursor()
    found = {}
    for table in tables or TABLES:
        cursor.execute(f"SELECT {TABLES[table]} FROM {table}")
        found[table] = {one[0] for one in cursor.fetchall()}
    return found


def purge(url: str, *specs: str, **params: str) -> pk.Report:
    with pk.connect(url) as db:
        report = db.run(db.plan(load_all(specs, params)))
    assert report.exit_code == 0, report.to_dict()
    return report


def zoned(at: datetime) -> str:
    return at.isoformat()


def in_auckland(at: datetime) -> str:
    return at.astimezone(ZoneInfo("Pacific/Auckland")).replace(tzinfo=None).isoformat()


def younger_than(age: timedelta) -> set[str]:
    return {f"key{n:04}" for n, one in enumerate(AGES, 1) if one < age}


def saved(rows: list[dict[str, Any]], folder: Path) -> str:
    """The command that loads the rows; again, it puts back whatever was deleted."""
    fixture = folder / "site.json"
    fixture.write_text(json.dumps(rows))
    return f"loaddata {fixture}"


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


def test_same_survivors_as_django(url: str, admin: Admin, tmp_path: Path) -> None:
    site, load = Site(url), saved(rows_of_a_site(zoned), tmp_path)
    site.manage("migrate", load)
    everything = left(admin(url))
    ages = ("axes_reset_logs --age=20", "axes_reset_failure_logs --age=20")
    site.manage("clearsessions", "flushexpiredtokens", "cleartokens", *ages, then=CELERY_CLEANUP)
    of_django = left(admin(url))
    site.manage(load)
    assert left(admin(url)) == everything

    report = purge(
        url, "django", "django/axes-logs", grace="0s", access_log_lifetime="20d", refresh_lifetime="2d"
    )
    found = left(admin(url))
    of_django["oauth2_provider_refreshtoken"].add(ROTATED)  # Django takes the mention of it out of the newer token
    assert found == of_django
    gone = {table: len(everything[table] - found[table]) for table in TABLES}
    assert report.rows_deleted == sum(gone.values())
    # What Django itself never deletes is no part of the whole pack.
    assert {table for table in TABLES if gone[table] == 0} == set(NEVER_CLEANED)
    assert all(gone[table] > 10 for table in TABLES if table not in NEVER_CLEANED)

    purge(url, "django/admin-log", "django/axes-attempts", admin_log_lifetime="20d", attempt_lifetime="20d")
    late = left(admin(url))
    kept = {n for n, age in enumerate(AGES, 1) if age < 20 * DAY + 2 * HOUR}
    assert all(late[table] == kept for table in NEVER_CLEANED)


def test_sessions_stay_for_the_grace(sqlite_url: str, admin: Admin, tmp_path: Path) -> None:
    site = Site(sqlite_url)
    site.manage("migrate sessions", saved(sessions(zoned), tmp_path))
    purge(sqlite_url, "django/sessions")
    assert left(admin(sqlite_url), "django_session") == {"django_session": younger_than(2 * HOUR)}


def test_wall_clocks_of_a_site_without_time_zones(url: str, admin: Admin, tmp_path: Path) -> None:
    """In a zone half a day from here, so that reading it as UTC would show."""
    site, load = Site(url, time_zone="Pacific/Auckland", use_tz=False), saved(sessions(in_auckland), tmp_path)
    site.manage("migrate sessions", load, "clearsessions")
    of_django = left(admin(url), "django_session")
    site.manage(load)
    purge(url, "django/sessions", grace="0s", timezone="Pacific/Auckland")
    assert left(admin(url), "django_session") == of_django == {"django_session": younger_than(0 * HOUR)}

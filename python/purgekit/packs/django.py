"""Tables of Django and of the applications that most sites add to it."""

from __future__ import annotations

from purgekit._core import Predicate
from purgekit.packs.common import CLOCK, COMMON, Values, aged, optional_policy, past, table_in
from purgekit.packs.django_oauth import POLICIES as OAUTH_POLICIES
from purgekit.packs.model import Built, Pack, PackPolicy, Parameter
from purgekit.predicates import dependent

SESSION = "django_session"
ADMIN_LOG = "django_admin_log"
OUTSTANDING = "token_blacklist_outstandingtoken"
BLACKLISTED = "token_blacklist_blacklistedtoken"
TASK_RESULT = "django_celery_results_taskresult"
GROUP_RESULT = "django_celery_results_groupresult"
ATTEMPT = "axes_accessattempt"
ATTEMPT_EXPIRATION = "axes_accessattemptexpiration"
ACCESS_LOGS = ("axes_accesslog", "axes_accessfailurelog")

RESULT_LIFETIME = Parameter("result_lifetime", "1d", "age of a result since its last change; CELERY_RESULT_EXPIRES")
ADMIN_LOG_LIFETIME = Parameter("admin_log_lifetime", "365d", "age at which an entry of the admin's history may go")
ATTEMPT_LIFETIME = Parameter("attempt_lifetime", "30d", "age of a failed login; longer than AXES_COOLOFF_TIME")
ACCESS_LOG_LIFETIME = Parameter("access_log_lifetime", "30d", "age at which an entry of the log of logins may go")

NOTE = """\
DROP from cron what does the same: manage.py clearsessions, flushexpiredtokens, cleartokens, axes_reset_logs and
axes_reset_failure_logs; and the task celery.backend_cleanup (it comes with celery beat whenever CELERY_RESULT_EXPIRES
is set). Each of them is one DELETE over all that is over, or reads every row into memory first for what hangs on it.
Only sessions in the database are meant (SESSION_ENGINE db or cached_db). A model of your own that extends
AbstractBaseSession has a table of its own: write a policy file for it.

TIMES are UTC in every database, with USE_TZ = True (the default) as with False and TIME_ZONE = 'UTC'. With
USE_TZ = False and another TIME_ZONE, SQLite, MySQL and MariaDB hold that zone's wall clock: give it as
--param timezone=Europe/Paris (PostgreSQL holds instants, always). A TIME_ZONE inside DATABASES means the same.

WHAT DJANGO KNOWS AND THE DATABASE DOES NOT: Django makes its foreign keys without ON DELETE and does cascades by
itself. Rows of yours that refer to one which is to go are not taken along; they hold it back, and are listed (exit 4).

REHEARSE ON A DUMP before the first purge of a production database:
  purgekit plan URL django --exact --rehearse --sample 5
  purgekit run URL django --archive table --yes
SCHEDULE it every hour or night:
  17 * * * *   purgekit run URL django --yes --max-run-s 3000
Policies marked "only when named" are left out of that, since what they delete is a record or unlocks accounts:
  purgekit run URL django/admin-log --param admin_log_lifetime=730d --yes"""
SESSION_NOTE = """\
expire_date decides, as in manage.py clearsessions, which takes all of them at once in one statement and without a \
grace: with grace=0s the survivors are the same. A session that somebody used a moment before is judged by its new \
expire_date. clearsessions does nothing at all where SESSION_ENGINE is cache or signed_cookies, and rows from earlier \
days stay in the table; here they go."""
TOKEN_NOTE = """\
Tokens of rest_framework_simplejwt past their expires_at, and the row that blacklists each: what is expired needs no \
blacklisting. manage.py flushexpiredtokens loads every expired token into memory to find them; the foreign key does \
not cascade, so a plain DELETE fails at the first blacklisted one. It counts a token on the very microsecond as \
expired, here that one stays."""
RESULT_NOTE = """\
Results of Celery tasks and of groups, by date_done, which is the time of their last change, whatever the state: \
celery.backend_cleanup does the same by CELERY_RESULT_EXPIRES (1 day). A task that has been running for longer than \
result_lifetime loses its STARTED row, and gets a new row when it ends."""
ADMIN_LOG_NOTE = """\
Django never deletes the history of its admin. It is the only record of who changed what there: decide on a retention, \
and keep what goes with --archive."""
ATTEMPT_NOTE = """\
django-axes counts failed logins in these rows, and whoever it locks out stays so for AXES_COOLOFF_TIME after the last \
of them; without that setting, until somebody resets it. A row that goes unlocks its account, so attempt_lifetime must \
be longer. Where attempts have an expiry of their own (axes_accessattemptexpiration), that row goes with them."""
ACCESS_LOG_NOTE = """\
Logins and failures by attempt_time, which django-axes deletes by hand only (axes_reset_logs, axes_reset_failure_logs: \
30 days). An audit trail like the admin's log: keep what goes with --archive where you must. A session that is still \
open has no logout_time, and goes by the same age."""


def _policy(name: str, table: str, where: Predicate, values: Values) -> Built:
    return Built(optional_policy(name, table=table_in(values, table), where=where, grace=values["grace"]))


def _sessions(values: Values) -> Built:
    return _policy("sessions", SESSION, past("expire_date", values), values)


def _tokens(values: Values) -> Built:
    blacklisted = dependent(
        table_in(values, BLACKLISTED), on={"token_id": "id"}, unless_referenced=False, optional=True
    )
    return Built(
        optional_policy(
            "token-blacklist",
            table=table_in(values, OUTSTANDING),
            where=past("expires_at", values),
            grace=values["grace"],
            dependents=[blacklisted],
        )
    )


def _results(values: Values) -> list[Built]:
    where = aged("date_done", values["result_lifetime"], values)
    return [_policy(f"celery-results/{table}", table, where, values) for table in (TASK_RESULT, GROUP_RESULT)]


def _admin_log(values: Values) -> Built:
    return _policy("admin-log", ADMIN_LOG, aged("action_time", values["admin_log_lifetime"], values), values)


def _attempts(values: Values) -> Built:
    expiration = dependent(
        table_in(values, ATTEMPT_EXPIRATION), on={"access_attempt_id": "id"}, unless_referenced=False, optional=True
    )
    return Built(
        optional_policy(
            "axes-attempts",
            table=table_in(values, ATTEMPT),
            where=aged("attempt_time", values["attempt_lifetime"], values),
            grace=values["grace"],
            dependents=[expiration],
        )
    )


def _access_logs(values: Values) -> list[Built]:
    where = aged("attempt_time", values["access_log_lifetime"], values)
    return [_policy(f"axes-logs/{table}", table, where, values) for table in ACCESS_LOGS]


PACK = Pack(
    "django",
    "Django: sessions; tokens of simplejwt and django-oauth-toolkit, results of Celery, django-axes",
    (
        PackPolicy("sessions", SESSION, "Sessions past their expiry", SESSION_NOTE, _sessions, (*COMMON, *CLOCK)),
        PackPolicy(
            "token-blacklist",
            OUTSTANDING,
            "Tokens of simplejwt past their expiry, with what blacklists them",
            TOKEN_NOTE,
            _tokens,
            (*COMMON, *CLOCK),
        ),
        *OAUTH_POLICIES,
        PackPolicy(
            "celery-results",
            TASK_RESULT,
            "Results of Celery tasks and groups, by age",
            RESULT_NOTE,
            _results,
            (*COMMON, RESULT_LIFETIME, *CLOCK),
        ),
        PackPolicy(
            "admin-log",
            ADMIN_LOG,
            "The admin's history, by age",
            ADMIN_LOG_NOTE,
            _admin_log,
            (*COMMON, ADMIN_LOG_LIFETIME, *CLOCK),
            by_name_only=True,
        ),
        PackPolicy(
            "axes-attempts",
            ATTEMPT,
            "Counters of failed logins, by age",
            ATTEMPT_NOTE,
            _attempts,
            (*COMMON, ATTEMPT_LIFETIME, *CLOCK),
            by_name_only=True,
        ),
        PackPolicy(
            "axes-logs",
            ACCESS_LOGS[0],
            "Logs of logins and of failures, by age",
            ACCESS_LOG_NOTE,
            _access_logs,
            (*COMMON, ACCESS_LOG_LIFETIME, *CLOCK),
            by_name_only=True,
        ),
    ),
    NOTE,
)

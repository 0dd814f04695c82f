"""What the keycloak pack says: what Keycloak does by itself, and how these policies differ."""

NOTE = """\
KEYCLOAK CLEANS BY ITSELF what this pack cleans, one node at a time: expired events every 15 minutes, expired
sessions by a task of their provider. Nothing has to be switched off; both may run. The pack is for where that
does not keep up (tables that grew before a retention was set, one large DELETE that runs into the transaction timeout
and is rolled back, again and again), for rows that it does not look at (events of realms without an expiration, client
sessions left over), and for a record of what was deleted (--archive, purgekit history).

LIFETIMES are settings of each realm; give them as parameters. The default values are Keycloak's own:
  SELECT ID, NAME, SSO_IDLE_TIMEOUT, SSO_MAX_LIFESPAN, OFFLINE_SESSION_IDLE_TIMEOUT, EVENTS_EXPIRATION FROM REALM
A session goes only where its realm's own settings (and those for Remember Me) are not longer than what you gave: with a
parameter too short nothing goes that is still alive, and the plan tells how many stay. Realms of different settings:
one run for each, with --param realm=ID, or the longest for all.
Up to Keycloak 25 only offline sessions are in the database; the others are in memory.

REHEARSE ON A DUMP before the first purge of a production database:
  purgekit plan URL keycloak --exact --rehearse --sample 5
  purgekit run URL keycloak --archive table --yes, then start Keycloak on it, log in, refresh an offline token
SCHEDULE it every hour or night:
  17 * * * *   purgekit run URL keycloak --param sso_idle=8h --param sso_max=24h --yes --max-run-s 3000
Policies marked "only when named" are left out of that: events are a record that somebody may have to keep, and without
a counter of failures an account is no longer locked.
  purgekit run URL keycloak/events keycloak/admin-events --param event_lifetime=90d --archive path/ --yes"""

SESSION_NOTE = """\
By LAST_SESSION_REFRESH and sso_idle, or by CREATED_ON and sso_max, as Keycloak does, which adds 3 minutes: with \
grace=3m the survivors are the same in realms whose settings are just those. Remember Me is not told apart, so a \
session without it may stay for as long as one with it would. Keycloak reads ids in batches first and deletes by \
them, and a session that was refreshed in between goes; here every session is judged in the statement that deletes \
it. Client sessions go in the same transaction. No USER_SESSION_DELETED event is written: the run's history is the \
record."""
OFFLINE_NOTE = """\
By LAST_SESSION_REFRESH and offline_idle, as Keycloak does (with grace=3m the same survivors). offline_max is for \
realms that limit the lifetime of offline sessions; it is not compared with the realm's own limit, which is kept as \
text: give the longest. A refresh token of a session that is gone can't be used any more."""
ORPHAN_NOTE = """\
Keycloak deletes client sessions with their user session, but in statements of their own and without a foreign key: \
what is left over, after a failure or by a login at that very moment, stays for ever. Those used within min_age \
stay, because a client session may be written a little before its user session."""
AUTH_NOTE = """\
Logins under way are in the database only where Keycloak 26.7 or later is told so. By TIMESTAMP and login_lifetime, \
in realms none of whose three timeouts is longer; their tabs (AUTH_SESSION) go in the same transaction, counted, and \
not by the cascade."""
EXPIRE_NOTE = """\
EXPIRE (seconds) decides. Keycloak does the same in one statement (for single-use objects, in batches); one on the \
very second may go a second earlier there."""
FAILURE_NOTE = """\
By LAST_FAILURE (milliseconds). Keycloak deletes none in realms with permanent lockout: there the counter is what \
keeps an account locked. Name only realms without it, with --param realm=ID."""
EVENT_NOTE = """\
By EVENT_TIME (milliseconds). Keycloak deletes events of realms that have an expiration (Realm settings, Events), up \
to 4 minutes at a time in newer releases, all in one statement in older ones; with grace=0s and that lifetime the \
survivors are the same. Of other realms it never deletes any, so this table is often the largest. The index is on \
REALM_ID and EVENT_TIME: with --param realm=ID a few old rows are found without reading the table."""
ADMIN_EVENT_NOTE = """\
By ADMIN_EVENT_TIME (milliseconds), with an expiration of its own in each realm (adminEventsExpiration). The record \
of who changed what: decide on a retention, and keep what goes with --archive."""

"""What to do in the product and around the first purge."""

NOTE = """\
SWITCH OFF IN THE PRODUCT, or it deletes beside purgekit by rules of its own, on every node at once.
deployment.toml (Identity Server 5.9 and later):
  [session_data.cleanup]
  enable_expired_data_cleanup = false
  enable_pre_session_data_cleanup = false
  clean_logged_out_sessions_at_immediate_cycle = false
  [oauth.token_cleanup]
  enable = false                                 # true may stay: it deletes single tokens as they are replaced
  retain_access_tokens_for_auditing = false      # true fills IDN_OAUTH2_ACCESS_TOKEN_AUDIT, see token-audit
identity.xml (earlier): in JDBCPersistenceManager/SessionDataPersist set SessionDataCleanUp/Enable and
OperationDataCleanUp/Enable to false; PushedAuthReqCleanUp/Enable as well (it deletes live requests);
OAuth/TokenCleanup/EnableTokenCleanup as above. Drop schedules of the vendor's procedures (events, jobs, cron).

REHEARSE ON A DUMP before the first purge of a production database:
  1. restore last night's dump into a database of its own, with the server's version
  2. purgekit doctor URL                         # missing indexes, privileges, clocks
  3. purgekit plan URL wso2-is --exact --rehearse --sample 5
  4. purgekit run URL wso2-is --archive table --yes, then start the product on it, log in, refresh, log out
Tokens of the product are in its identity database, sessions may be in another (session data source): run the pack on
both; policies whose tables are absent are passed over. Back up as always; --archive keeps what goes, and nothing else.

SCHEDULE it every hour or night, the first purge of a grown table with --max-run-s over several nights:
  17 * * * *   purgekit run URL wso2-is --yes --max-run-s 3000
One runner is enough; a second one at the same time stops with exit code 3 and does no harm. Tables of tokens of one
user store each (IDN_OAUTH2_ACCESS_TOKEN_A, …): one run for each, with --param partition=A and wso2-is/tokens."""

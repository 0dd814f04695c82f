"""What the airflow pack says: what to do around the first purge, and how it differs from Airflow's own."""

NOTE = """\
REPLACES airflow db clean (drop it from cron, and the maintenance DAGs that call it). lifetime is the age that you
would have subtracted for --clean-before-timestamp. For Airflow 3; tested on PostgreSQL and SQLite. On an Airflow
2 database the plan refuses dag-runs, since its foreign keys cascade to tables that Airflow 3 does not have.

WHAT airflow db clean DOES AND THIS PACK DOES NOT:
- it copies all rows that go into _airflow_deleted__… tables in one transaction, and then deletes them in another,
  without asking again. Rows that changed in between go, too. These tables stay unless --skip-archive is given;
  --archive table keeps what goes, and nothing else. _xcom_archive, which the upgrade to Airflow 3 made: airflow db
  drop-archived
- it takes task instances, their history and XComs by their own start, even where their run stays: the last run of a
  DAG, kept for the scheduler, loses its tasks, and depends_on_past finds none; tasks of a run that was cleared and
  runs again are lost as well. Here what belongs to a run goes with it, and never before (but see airflow/xcoms)
- it takes runs that are still running or queued. Here only success and failed go, and the plan tells what stays
- it takes triggers by age. Their foreign key takes the deferred task and the asset's watcher along that wait for
  them. The triggerer deletes triggers that nobody needs by itself, so there is nothing to do here
- it takes DAGs that were not parsed for so long, and versions of DAGs: definitions, not records. airflow dags delete

REHEARSE ON A DUMP before the first purge of a production database:
  purgekit plan URL airflow --exact --rehearse --sample 5
  purgekit run URL airflow --archive table --yes, then start a scheduler on it
The plan names the children that have no index on their parent's key (deadline.dagrun_id is one), with the statement.
Add them before the first purge of a grown database.

SCHEDULE it every hour or night, the first purge of a grown database with --max-run-s over several nights. It may run
in a task of Airflow itself, but a scheduler that hangs should not keep its database from being purged:
  17 * * * *   purgekit run URL airflow --param lifetime=60d --yes --max-run-s 3000"""

DEADLINE_NOTE = """\
By deadline_time, the same rows as airflow db clean takes; deadlines of a run that goes have gone with it. Each is \
judged in the statement that deletes it, so one that was moved on meanwhile stays."""
REQUEST_NOTE = """\
What DAG processors have not taken up by then, in earlier releases of Airflow 3; later ones have callbacks instead. \
By created_at, the same rows as airflow db clean takes."""
PARTITION_NOTE = """\
By created_at, and only rows whose asset_partition_dag_run is gone: no foreign key takes them along. The same rows \
as airflow db clean takes, in releases that have the table."""
IMPORT_NOTE = """\
By timestamp, the same rows as airflow db clean takes. A file that still can't be imported gets a new timestamp each \
time it is parsed."""
TEST_NOTE = """\
By updated_at, the same rows as airflow db clean takes: tests that succeeded or failed. They hold the connection's \
password, encrypted, so a short lifetime is wise (airflow/connection-tests with --param lifetime=1d)."""
RUN_NOTE = """\
By start_date, as airflow db clean does; a run that never started has none and stays. The last run of a DAG that was \
not triggered by hand stays, whatever its age; of two that started in the very same microsecond both do. (A manual \
run that started in the same microsecond as that one stays with db clean, and goes here.) Tasks, their history, \
XComs, rendered fields, reschedules, notes, deadlines, state and a backfill's mention of the run go in the same \
transaction, deepest first, and each is counted; db clean leaves that to the database's cascades, and leaves a \
backfill's row behind that looks as if its run had never been made."""
CALLBACK_NOTE = """\
Finished ones, those without a state, and those that were scheduled for a deadline which is gone. airflow db clean \
takes finished ones even while a deadline refers to them, and the foreign key takes the deadline along; here the \
deadline goes first, by its own age or with its run."""
EVENT_NOTE = """\
By timestamp, the same rows as airflow db clean takes. Which runs an event has triggered, and by which alias it \
came, goes with it in the same transaction and is counted, and not by a cascade."""
LOG_NOTE = """\
The same rows as airflow db clean takes. It is the record of who did what: where you must keep it for longer, name \
the other policies one by one, or keep what goes with --archive."""
JOB_NOTE = """\
By latest_heartbeat, the same rows as airflow db clean takes. Schedulers and triggerers that run have a heartbeat of \
a few seconds ago."""
CELERY_NOTE = """\
The same rows as airflow db clean takes: the Celery executor's result backend, where it is in this database. Celery \
writes date_done in UTC."""
STATE_NOTE = """\
Rows without an expires_at stay until their run goes. airflow db clean waits for another --clean-before-timestamp \
after the expiry; grace=90d does as well."""
TOKEN_NOTE = """\
What has expired is of no use to anybody. airflow db clean waits for another --clean-before-timestamp after the \
expiry; grace=90d does as well."""
XCOM_NOTE = """\
For when XComs are what fills the database: they may go before their run, with a lifetime of their own (--param \
lifetime=14d). Those of the last run of each DAG go as well; xcom_pull with include_prior_dates, and tasks that are \
cleared and run again alone, then find nothing."""

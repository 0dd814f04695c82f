"""The native engine. Scripts use the names of ``purgekit``; this module is what those are made of.

Durations are integer nanoseconds, instants are integer nanoseconds since 1970-01-01T00:00:00Z. Objects are immutable
and may be shared between threads, except ``Connection``, whose calls are serial (``cancel`` may come from any thread).
Every long call releases the GIL. What goes wrong raises the classes of ``purgekit.errors``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

__version__: str
abi_version: str

def parse_duration(text: str) -> int:
    """Nanoseconds of ``"90s"``, ``"1d12h"``, ``"PT2H"``; PolicyError when it can't be read, is negative or absurd."""

def format_duration(duration_ns: int) -> str:
    """Shortest text that parse_duration reads back: ``"1d12h"``."""

def parse_percent(text: str) -> float:
    """50.0 of ``"50%"`` or ``"50"``; PolicyError when it can't be read."""

def parse_instant(text: str) -> int:
    """Nanoseconds since the epoch of an ISO 8601 instant; without a zone it is UTC. PolicyError when unreadable."""

def format_instant(instant_ns: int) -> str:
    """``"2026-11-21T10:00:00.123456789Z"``, the fraction without trailing zeros."""

@final
class Predicate:
    """A condition on rows. Compose with ``&``, ``|`` and ``~``; equal trees compare and hash equal; prints as text."""

    @staticmethod
    def compare(column: str, op: str, value: object) -> Predicate:
        """``op`` is one of = != <> < <= > >=. Values: bool, int, float, str, bytes, Decimal, datetime, date."""
    @staticmethod
    def is_in(column: str, values: Sequence[object]) -> Predicate: ...
    @staticmethod
    def is_null(column: str) -> Predicate: ...
    @staticmethod
    def expired(
        column: str,
        unit: str,
        *,
        grace_ns: int | None = None,
        purge_null: bool = False,
        timezone: str = "UTC",
        stored: str = "",
    ) -> Predicate:
        """``column + grace < now``. ``unit``: s, ms, us, ns, timestamp. ``grace_ns`` None: the policy's."""
    @staticmethod
    def created(
        column: str,
        unit: str,
        *,
        lifetime_ns: int | None = None,
        lifetime_column: str = "",
        lifetime_unit: str = "",
        purge_never: bool = False,
        grace_ns: int | None = None,
        purge_null: bool = False,
        timezone: str = "UTC",
        stored: str = "",
    ) -> Predicate:
        """``column + lifetime + grace < now``; give ``lifetime_ns`` or ``lifetime_column`` with its unit."""
    @staticmethod
    def referenced_by(table: str, on: Sequence[tuple[str, str, str]], where: Predicate | None = None) -> Predicate:
        """A row of ``table`` exists with ``other_column op this_column`` for each triple, satisfying ``where``."""
    @staticmethod
    def keep_latest(n: int, per: Sequence[str], order_by: str) -> Predicate: ...
    @staticmethod
    def sql(text: str, parameters: Mapping[str, object]) -> Predicate: ...
    @staticmethod
    def all_of(predicates: Sequence[Predicate]) -> Predicate: ...
    @staticmethod
    def any_of(predicates: Sequence[Predicate]) -> Predicate: ...
    @staticmethod
    def from_json(text: str) -> Predicate: ...
    def to_json(self) -> str: ...
    def __and__(self, other: Predicate) -> Predicate: ...
    def __or__(self, other: Predicate) -> Predicate: ...
    def __invert__(self) -> Predicate: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class ArchivePart:
    """What goes into one column of a table that rows are moved into."""

    @staticmethod
    def column(name: str) -> ArchivePart: ...
    @staticmethod
    def now(*, unit: str = "timestamp", timezone: str = "UTC") -> ArchivePart: ...
    @staticmethod
    def run_id() -> ArchivePart: ...
    @staticmethod
    def default() -> ArchivePart: ...
    @staticmethod
    def value(value: object) -> ArchivePart: ...

@final
class ArchiveMapping:
    """An archive of somebody else's making. Immutable, comparable, hashable."""

    def __init__(self, table: str, columns: Mapping[str, ArchivePart] = ...) -> None: ...
    @property
    def table(self) -> str: ...
    def to_json(self) -> str: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Dependent:
    """Rows of a child table that go with the parents of a chunk."""

    def __init__(
        self,
        table: str,
        on: Mapping[str, str],
        *,
        unless_referenced: bool = True,
        optional: bool = False,
        archive: ArchiveMapping | None = None,
        of: str = "",
    ) -> None:
        """``on`` maps child column to parent column. ``unless_referenced``: keep a child while any row of the parent
        table still has its values. ``optional``: skipped when the table or a column does not exist. ``archive``: see
        ``pk.dependent``. ``of``: the dependent before it whose children these are.
        """
    @property
    def table(self) -> str: ...
    @property
    def on(self) -> dict[str, str]: ...
    @property
    def unless_referenced(self) -> bool: ...
    @property
    def optional(self) -> bool: ...
    @property
    def archive(self) -> ArchiveMapping | None: ...
    @property
    def of(self) -> str: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Policy:
    """What may go from one table. Immutable, comparable, hashable; JSON both ways."""

    def __init__(
        self,
        name: str,
        *,
        table: str,
        where: Predicate,
        grace: str | int = "2h",
        dependents: Sequence[Dependent] = (),
        max_fraction: float | None = None,
        optional: bool = False,
        held_while: Predicate | None = None,
        archive: str | ArchiveMapping | None = None,
        strategy: str = "auto",
        move_window: str | int = "60s",
        hold: Predicate | None = None,
        approval: str | None = None,
        within: str | None = None,
        min_retention: str | int | None = None,
        evidence_retention: str | int | None = None,
    ) -> None:
        """``grace``: a duration text, or nanoseconds. ``optional``: skipped with a warning when the table is absent.
        ``held_while``: a row that satisfies ``where`` stays as long as this is true of it; it counts as purgeable and
        goes in a later pass (a tombstone and what it hides). ``archive``: ``table``, ``table:NAME`` or
        ``pk.move_to(…)``, where deleted rows are kept in the transaction that deletes them. ``strategy``: ``auto``
        walks the table, ``partition``, ``swap`` and ``truncate`` purge it in few strokes that keep others waiting,
        each for ``move_window`` at most.
        ``hold``: rows that satisfy it, or of which that can't be told, stay and are not purgeable.
        ``approval``: ``"required"`` lets it run as an approved plan file only. ``within``: ``"50%"``; a run refuses
        when what may go differs by more from what the last one took. ``min_retention``: a policy whose rule takes
        younger rows is refused. ``evidence_retention``: how long the evidence of its runs is kept at least, before a
        later run deletes it; None: for ever.
        """
    @property
    def name(self) -> str: ...
    @property
    def table(self) -> str: ...
    @property
    def where(self) -> Predicate: ...
    @property
    def grace_ns(self) -> int: ...
    @property
    def dependents(self) -> list[Dependent]: ...
    @property
    def max_fraction(self) -> float | None: ...
    @property
    def optional(self) -> bool: ...
    @property
    def held_while(self) -> Predicate | None: ...
    @property
    def archive(self) -> str | ArchiveMapping | None: ...
    @property
    def strategy(self) -> str: ...
    @property
    def move_window_ns(self) -> int: ...
    @property
    def hold(self) -> Predicate | None: ...
    @property
    def approval(self) -> str | None: ...
    @property
    def within_pct(self) -> float | None: ...
    @property
    def min_retention_ns(self) -> int | None: ...
    @property
    def evidence_retention_ns(self) -> int | None: ...
    @property
    def zones(self) -> list[str]:
        """Time zones that the rules name, without UTC."""
    @staticmethod
    def from_json(text: str) -> Policy: ...
    def to_json(self) -> str: ...
    def __eq__(self, other: object) -> bool: ...
    def __hash__(self) -> int: ...

@final
class RunControl:
    """Ends a run from another thread or a signal handler."""

    def __init__(self) -> None: ...
    def stop(self, reason: str = "stopped") -> None:
        """End after the chunk in hand; ``reason`` becomes the report's ``stop_reason``."""
    def cancel(self) -> None:
        """Cancel the chunk in hand and roll it back."""
    @property
    def stopping(self) -> bool: ...
    @property
    def paused(self) -> bool:
        """No chunk is begun while this is true."""
    @paused.setter
    def paused(self, paused: bool) -> None: ...
    @property
    def chunk_ms(self) -> float:
        """Target time of the chunks from now on; 0: as the run was started."""
    @chunk_ms.setter
    def chunk_ms(self, chunk_ms: float) -> None: ...

@final
class Plan:
    """A frozen plan. ``to_json`` gives the contract's ``purgekit.plan/1``."""

    def to_json(self) -> str: ...
    @property
    def policies(self) -> list[Policy]: ...
    @property
    def identity(self) -> str:
        """Of the database: the same for every connection to it."""
    @property
    def fingerprints(self) -> list[str]:
        """Of each policy's table: identity, columns and key in one line; empty where the policy is skipped."""

@final
class KeyPurge:
    """A policy made ready for purges by keys on one connection."""

    @property
    def table(self) -> str:
        """As the database has it."""
    @property
    def run_id(self) -> str: ...

@final
class Connection:
    def __init__(
        self,
        backend: str,
        *,
        scheme: str,
        user: str = "",
        password: str = "",
        host: str = "",
        port: int = 0,
        database: str = "",
        options: Sequence[tuple[str, str]] = (),
        connect_timeout_ms: int = 10_000,
        lock_wait_ms: int = 1_000,
        statement_timeout_ms: int = 0,
    ) -> None: ...
    @property
    def backend(self) -> str: ...
    def server(self) -> dict[str, Any]:
        """product, version, clock_utc_ns, read_only, tls, tls_verified, loopback, database, identity, warnings."""
    def plan(
        self,
        policies: Sequence[Policy],
        *,
        now_ns: int | None = None,
        exact: bool = False,
        count_budget_ms: int = 2_000,
        accept_clock: bool = False,
        max_fraction: float | None = None,
        chunk_rows: int = 1_000,
        zones: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        archive: str | None = None,
        rehearse: bool = False,
        chunk_ms: float = 100.0,
        ledger: str = "purgekit_ledger",
        sample: int = 0,
        unmask: bool = False,
    ) -> Plan:
        """``zones``: for each zone name (from_utc_ns, offset_ns) steps, ascending, the first from the far past.
        ``accept_clock`` and ``max_fraction`` (None: the policy's, else 0.98) are checked by ``run``; the plan warns.
        """
    def run(
        self,
        plan: Plan,
        *,
        run_id: str,
        ledger: str = "purgekit_ledger",
        control: RunControl | None = None,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        chunk_ms: int = 100,
        pace: str = "gentle",
        max_rows: int | None = None,
        max_rows_per_s: float | None = None,
        deadline_s: float | None = None,
        max_replica_lag_s: float | None = None,
        lock_wait_ms: int = 1_000,
        stop_file: str = "",
        max_fraction: float | None = None,
        accept_clock: bool = False,
        policy_hashes: Sequence[str] = (),
        workers: int = 1,
        reclaim: str = "none",
        pacer: Callable[[dict[str, Any]], float | None] | None = None,
        probe_sql: str = "",
        probe_limit_ms: float | None = None,
        replicas: Sequence[tuple[str, dict[str, Any]]] = (),
        lag_sql: str = "",
        evidence_key: bytes = b"",
        evidence_plan: str = "",
        evidence_approval: str = "",
        watch_interval_s: float | None = None,
        watch_session_s: float = 86_400.0,
        accept_scan: bool = False,
        watch_archive: str = "",
        on_purge: Callable[[dict[str, Any]], object] | None = None,
    ) -> str:
        """Purge, and give the contract's ``purgekit.run/1`` as JSON, whatever the outcome.

        A failure part-way is a report with status "failed" and ``error``. Raises only when nothing was changed (a
        refusal: exit code 2). ``deadline_s``: seconds from now after which no chunk is begun. ``ledger``:
        "[SCHEMA.]NAME" or "none". ``replicas``: what to call each, and how to connect.
        ``on_progress`` is called on the calling thread after each chunk and while pausing, with the keys policy, table,
        pass, rows_deleted (policy's own table), rows_total_deleted (all tables), rows_purgeable, share_done, chunk_ms,
        chunk_rows, rows_per_s, eta_s, elapsed_s, waiting (reason or "").
        """
    def restore(
        self,
        restored_run_id: str,
        *,
        run_id: str,
        ledger: str = "purgekit_ledger",
        policies: Sequence[str] = (),
        tables: Sequence[str] = (),
        where: Sequence[tuple[str, object]] = (),
        since_ns: int | None = None,
        until_ns: int | None = None,
        on_conflict: str = "refuse",
        hold: bool = True,
        lock_wait_ms: int = 1_000,
        control: RunControl | None = None,
        on_progress: Callable[[dict[str, Any]], object] | None = None,
        files: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """Put archived rows of a run back; ``purgekit.restore/1`` as JSON, also of one that failed part-way.

        ``files``, where the run kept rows in files: of each table ``table``, ``policies``, ``columns`` (name, type,
        kind) and ``chunks`` with ``path``, ``number``, ``begin``, ``end``, ``rows``, ``bytes``, ``sha256`` and
        ``archived_ns``.
        """
    def archive_places(self, run_id: str, *, ledger: str = "purgekit_ledger") -> str:
        """Where a run kept rows in files, and what the ledger says of them, as JSON."""
    def last_run(self) -> tuple[str, str]:
        """Report and flight record of the last ``run`` as JSON, also when it raised; "" for what there is not."""
    def history(self, ledger: str = "purgekit_ledger") -> str:
        """``purgekit.history/1`` from the database's own ledger, as JSON."""
    def evidence(self, run_id: str, ledger: str = "purgekit_ledger") -> list[tuple[str, str]]:
        """Links of a run as they stand in the ledger: id and text. PurgeRefused when there are none."""
    def hold_add(
        self,
        table: str,
        *,
        rule: Predicate | None = None,
        keys: Sequence[Sequence[object]] = (),
        key_columns: Sequence[str] = (),
        typed_as_text: bool = False,
        reason: str = "",
        by: str = "",
        ledger: str = "purgekit_ledger",
        wait_s: float = 60.0,
    ) -> str:
        """Keep a hold, by ``rule`` or by ``keys`` of ``key_columns`` (none: the primary key). Gives it as JSON, with
        ``added`` and ``rows_held``, once no chunk that began before it can be committed any more.
        """
    def hold_list(self, ledger: str = "purgekit_ledger") -> str:
        """``purgekit.holds/1`` as JSON."""
    def hold_release(self, ledger: str, id: str) -> str:
        """Let go of a hold; gives it as JSON."""
    def key_purge(
        self,
        policy: Policy,
        *,
        run_id: str,
        ledger: str = "purgekit_ledger",
        archive: str = "",
        keeps_rows: bool = True,
        accept_clock: bool = False,
        zones: Mapping[str, Sequence[tuple[int, int]]] | None = None,
        policy_hash: str = "",
    ) -> KeyPurge:
        """Make a policy ready for ``purge_keys``."""
    def purge_keys(self, purge: KeyPurge, keys: Sequence[Sequence[object]]) -> tuple[list[tuple[str, int, int]], float]:
        """Table, rows deleted and rows archived, of the policy's own first; and milliseconds."""
    def cancel(self) -> None: ...
    def close(self) -> None: ...

@final
class Session:
    """One connection's bare verbs (``cpp/include/purgekit/abi.h``), for conformance suites and backend authors."""

    def __init__(self, backend: str, **connect: Any) -> None: ...
    def inspect(self) -> dict[str, Any]: ...
    def describe(self, table: str) -> dict[str, Any]: ...
    def tables(self, table: str) -> list[str]: ...
    def count(self, policy: Policy, now_ns: int) -> int: ...
    def sample_rows(self, policy: Policy, now_ns: int, most: int) -> list[tuple[str, int] | None]:
        """Values of all columns, row after row: the beginning of the text and its whole length, or None for NULL."""
    def propose(
        self, policy: Policy, now_ns: int, rows_total: int = -1, rows_matching: int = -1
    ) -> list[dict[str, Any]]: ...
    def prepare(
        self,
        policy: Policy,
        now_ns: int,
        walk: str,
        archives: Sequence[tuple[str, str]] = (),
        run_id: str = "",
    ) -> list[str]:
        """``archives``: schema and name of the table's archive, then of each dependent's; none: nothing is kept."""
    def archive_find(self, policy: Policy, archives: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """For each: state (0 absent, 1 present, 2 unfit), can_create, can_write, problem, ddl, grant_hint."""
    def archive_create(self, policy: Policy, archives: Sequence[tuple[str, str]]) -> None: ...
    def restore_next(
        self,
        table: str,
        archive: tuple[str, str],
        run_id: str,
        after: int = 0,
        conflict: int = 0,
        lock_wait_ms: int = 1_000,
    ) -> dict[str, Any]:
        """chunk, rows_restored, rows_skipped, done. ``conflict``: 0 refuse, 1 skip, 2 replace."""
    def lock_run(self, key: str) -> None: ...
    def unlock_run(self, key: str) -> None: ...
    def ledger_find(self, name: str) -> dict[str, Any]: ...
    def ledger_create(self) -> None: ...
    def note_write(self, kind: str, id: str, document: str) -> None:
        """A small record in the ledger, in the open transaction."""
    def note_delete(self, kind: str, id: str) -> None: ...
    def note_list(self, kind: str) -> list[tuple[str, str]]:
        """Id and document of each."""
    def note_add(self, kind: str, id: str, document: str) -> None:
        """One that is not there yet."""
    def note_page(self, kind: str, prefix: str, after: str, most: int) -> list[tuple[str, str]]:
        """Those whose id begins with ``prefix`` and stands behind ``after``, in order."""
    def slot_lock(self, key: str, wait_ms: int) -> dict[str, Any]: ...
    def slot_write(self, slot: Mapping[str, Any]) -> None: ...
    def begin(self, key: str = "", epoch: int = 0, seq: int = 0) -> None: ...
    def delete_range(
        self, cursor: str, max_rows: int, lock_wait_ms: int = 1_000, chunk: int = 1, until: str = "", window_ms: int = 0
    ) -> dict[str, Any]: ...
    def split(self, parts: int) -> list[str]: ...
    def pressure(self) -> list[dict[str, Any]]:
        """Each with ``name``, ``value``, ``limit`` (0: only shown) and ``shared_chunk_ms`` (0: no others)."""
    def fence(self, key: str, epoch: int, seq: int) -> None: ...
    def space(self, policy: Policy) -> dict[str, Any]:
        """bytes, reusable_bytes, dead_bytes, needed_bytes, free_bytes (-1: unknown), advice."""
    def reclaim(self, policy: Policy, care: str) -> bool:
        """One step of ``statistics`` or ``space``; True when nothing is left to do."""
    def moves(self, policy: Policy, now_ns: int, rows_total: int, rows_matching: int) -> list[dict[str, Any]]:
        """Each with id, strategy, reason, problem (empty: it can be done), rows, window_ms, needed_bytes."""
    def measure(self, sql: str, timeout_ms: int) -> dict[str, Any]:
        """elapsed_ms, and value: the first column of the first row as a number, or None."""
    def own_lag(self) -> float:
        """Seconds that this server, a replica, is behind."""
    def delete_children(self, index: int) -> int: ...
    def checkpoint(self, slot: Mapping[str, Any]) -> None: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...

def load_backend(path: str) -> str:
    """Load a plugin from an explicit path and register it; its name. PurgekitError with the reason when refused."""

def distrust(path: str, *, is_code: bool) -> str:
    """Why strangers could have written ``path``, with the way out; empty when they can't, or nothing is there."""

def register_python_backend(backend: object) -> None:
    """Make a ``purgekit.Backend`` known under its name and schemes."""

def find_backends(directories: Sequence[tuple[str, str]]) -> None:
    """Look for plugins in (source, directory) pairs, once each; failures are kept for ``backends``."""

def backends() -> list[dict[str, Any]]:
    """name, version, abi, source, schemes, status ("ok" or why it was refused) of all found so far."""

def backend_for(scheme: str) -> str:
    """Name of the backend that serves a URL scheme; PurgekitError listing what was tried and the nearest scheme."""

def set_log_level(level: str) -> None:
    """Spdlog levels: trace, debug, info, warning, error, critical, off."""

def set_log_sink(sink: Callable[[str, str], object] | None) -> None:
    """``sink(level, message)`` gets every record at or above the level, from any thread."""

def log_to_stderr(on: bool) -> None: ...

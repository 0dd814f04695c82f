"""``connect`` and what can be done with a connection."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any

from purgekit import _core
from purgekit import holds as _holds
from purgekit.approval import approval_warning, require_approval
from purgekit.errors import ConnectionFailed, PolicyError, PurgeFailed, PurgeRefused
from purgekit.evidence.export import Evidence
from purgekit.fuses import check_within
from purgekit.given import Policies, archive_text, listed, now_ns
from purgekit.keys import KeyPurges, PurgedKeys
from purgekit.limits import Limits, check_reclaim
from purgekit.logs import bridge_logs
from purgekit.packs import refuse_if_none_is_here
from purgekit.packs.warnings import pack_warnings
from purgekit.planfile import PlanFile
from purgekit.planfile_check import (
    DEFAULT_MAX_AGE,
    MOST_GROWTH_PCT,
    check_place_and_age,
    check_sources,
    check_unchanged,
)
from purgekit.plugins import find_backends
from purgekit.predicates import duration_ns
from purgekit.recorded import Recorded
from purgekit.report import Json, Plan, Report
from purgekit.restoring import RestoreReport, restore
from purgekit.runoptions import run_options
from purgekit.text import printable
from purgekit.url import Target, find_password, parse_url
from purgekit.watching import (
    DEFAULT_INTERVAL_S,
    Purged,
    check_interval,
    telling,
    warn_of_endless_evidence,
    watch_limits,
)
from purgekit.zones import steps_by_zone

_log = logging.getLogger("purgekit")

DEFAULT_LEDGER = "purgekit_ledger"
MOST_SAMPLE_ROWS = 100
Progress = Callable[[dict[str, Any]], object]
Pacer = Callable[[dict[str, Any]], float | None]


def connect(
    url: str,
    *,
    password: str | None = None,
    password_file: str | os.PathLike[str] | None = None,
    connect_timeout_s: float = 10.0,
    lock_wait_ms: int = 1_000,
    statement_timeout_s: float = 4 * 3_600.0,
) -> Database:
    """Open a database to plan and purge in.

    Args:
        url: ``postgresql://user@host/db``, ``mysql://…``, ``mariadb://…``, ``sqlite:///file.db``.
        password: used when the URL has none.
        password_file: its first line is the password, if there is none yet; then comes ``PURGEKIT_PASSWORD``.
        connect_timeout_s: longest wait for the server.
        lock_wait_ms: longest wait for a lock while planning.
        statement_timeout_s: longest time of one statement; 0 is no limit. Counting a large table may take long.

    Raises:
        ConnectionFailed: naming what is wrong, never with the password.
    """
    return Database(
        parse_url(url),
        password=password,
        password_file=password_file,
        connect_timeout_s=connect_timeout_s,
        lock_wait_ms=lock_wait_ms,
        statement_timeout_s=statement_timeout_s,
    )


class Database:
    """A connection to one database. Use as a context manager. One call at a time; ``cancel`` from any thread."""

    def __init__(
        self,
        target: Target,
        *,
        password: str | None,
        password_file: str | os.PathLike[str] | None,
        connect_timeout_s: float,
        lock_wait_ms: int,
        statement_timeout_s: float,
    ) -> None:
        bridge_logs()
        find_backends()
        self._target = target
        self._password = (password, password_file)
        self._waits = (int(connect_timeout_s * 1_000), lock_wait_ms)
        try:
            self._connection = _core.Connection(
                _core.backend_for(target.scheme),
                scheme=target.scheme,
                user=target.user,
                password=find_password(target, password, password_file),
                host=target.host,
                port=target.port,
                database=target.database,
                options=target.options,
                connect_timeout_ms=int(connect_timeout_s * 1_000),
                lock_wait_ms=lock_wait_ms,
            )
        except ConnectionFailed as failure:
            raise _explained(failure, target) from None
        self._key_purges = KeyPurges(self._connection)

    def plan(
        self,
        policies: Policies,
        *,
        now: str | datetime | None = None,
        exact: bool = False,
        max_fraction: float | None = None,
        accept_clock: bool = False,
        archive: str | os.PathLike[str] | None = None,
        rehearse: bool = False,
        chunk_ms: float = 100,
        ledger: str = DEFAULT_LEDGER,
        sample: int = 0,
        unmask: bool = False,
    ) -> Plan:
        """Find out what would be purged and how. Changes nothing.

        Args:
            policies: one policy or several.
            now: instead of the database's clock: an ISO instant (UTC without a zone) or a datetime. May lie ahead.
            exact: count to the end, however long that takes. A policy with ``within`` is always counted so.
            max_fraction: ``run`` refuses when a larger share of a table is purgeable; the plan warns.
            accept_clock: ``run`` goes on although a sampled time column looks implausible in its unit.
            archive: where ``run`` keeps what it deletes: ``table`` or ``table:NAME`` (NAME may hold ``{table}`` and a
                schema), or a folder for files: a path with a ``/`` in it, or a ``Path``. None: as each policy says.
            rehearse: delete one chunk of each policy and roll it back, so that the forecast rests on a measurement. Its
                rows are locked meanwhile, and triggers run, as in any chunk.
            chunk_ms: target time of one transaction, for the forecast.
            ledger: whose holds are counted in; give ``run`` the same one. ``none``: nobody's.
            sample: rows to show of those that would go (up to 100), in ``sample`` of each policy's entry: types and
                lengths of their values.
            unmask: show the values too.
        """
        chosen = listed(policies)
        if not 0 <= sample <= MOST_SAMPLE_ROWS:
            raise PolicyError(f"sample must lie between 0 and {MOST_SAMPLE_ROWS} rows, not {printable(sample)}")
        options: Json = {
            "now_ns": now_ns(now),
            "exact": exact or any(policy.within_pct is not None for policy in chosen),
            "max_fraction": max_fraction,
            "accept_clock": accept_clock,
            "zones": steps_by_zone({zone for policy in chosen for zone in policy.zones}),
            "archive": archive_text(archive),
            "ledger": ledger,
        }
        native = self._connection.plan(
            chosen, rehearse=rehearse, chunk_ms=chunk_ms, sample=sample, unmask=unmask, **options
        )
        warned = [{w["code"] for w in entry["warnings"]} for entry in json.loads(native.to_json())["policies"]]
        refuse_if_none_is_here(chosen, ["table_absent" in codes for codes in warned])
        advice = [pack_warnings(self._connection, policy, options) + approval_warning(policy) for policy in chosen]
        return Plan(native, advice, max_fraction=max_fraction, accept_clock=accept_clock, archive=options["archive"])

    def renew(
        self,
        file: PlanFile,
        *,
        within: str | None = None,
        max_plan_age: str | timedelta = DEFAULT_MAX_AGE,
        ledger: str = DEFAULT_LEDGER,
    ) -> Plan:
        """The plan of a plan file, made again with the same cutoff. Changes nothing; ``run`` does this by itself.

        Args:
            file: from ``load_plan``.
            within: how many more rows may go than it was made for; None: 10%.
            max_plan_age: how old it may be.
            ledger: whose holds are counted in.

        Raises:
            PurgeRefused: it is of another database or too old; policies, tables, holds or the number of rows have
                changed; or it lacks an approval that a policy demands.
        """
        max_age_ns = duration_ns(max_plan_age, "max_plan_age") or 0
        growth_pct = MOST_GROWTH_PCT if within is None else _core.parse_percent(within)
        require_approval(file.policies, file)
        check_place_and_age(file, self._connection.server(), max_age_ns)
        check_sources(file)
        plan = self.plan(file.policies, ledger=ledger, **file.options)
        check_unchanged(file, plan, growth_pct)
        plan.file = file
        return plan

    def run(
        self,
        plan: Plan | PlanFile | Policies,
        *,
        limits: Limits | None = None,
        on_progress: Progress | None = None,
        ledger: str = DEFAULT_LEDGER,
        control: _core.RunControl | None = None,
        accept_clock: bool = False,
        archive: str | os.PathLike[str] | None = None,
        reclaim: str = "none",
        pacer: Pacer | None = None,
        max_plan_age: str | timedelta = DEFAULT_MAX_AGE,
        evidence_key: str | os.PathLike[str] | None = None,
    ) -> Report:
        """Purge. What ``plan`` showed is what is done; policies given instead are planned first.

        Ctrl-C ends the run after the chunk in hand, a second one cancels that chunk and rolls it back.

        Args:
            plan: from ``plan``, a plan file from ``load_plan``, or policies.
            limits: how far and how hard it may go.
            on_progress: called with a dict at most once a chunk, on the thread that called ``run``.
            ledger: ``[SCHEMA.]NAME`` of the table that makes the run resumable, or ``none``.
            control: to stop or cancel it from elsewhere.
            accept_clock: as for ``plan``.
            archive: as for ``plan``, when policies are given instead of one.
            reclaim: what is done afterwards for the tables that rows went from: ``none``, ``statistics`` (ANALYZE), or
                ``space``: besides, VACUUM on PostgreSQL, an online rebuild on MySQL and MariaDB (refused beforehand
                when there is clearly no room for it), incremental_vacuum on SQLite where the file allows it. What could
                not be done is in the report (``care``) and in the log; the purge succeeds without it.
            pacer: called once a chunk, from this thread, with a dict of ``policy``, ``table``, ``rows`` (of the chunk),
                ``elapsed_ms`` and ``signals`` (name to value, as last read); returns seconds to wait before the next
                chunk, beside what the limits ask for. When it raises, the run stops after the chunk and
                ``stop_reason`` has its message.
            max_plan_age: how old a plan file may be.
            evidence_key: file of the key for the keyed hashes in the run's evidence; None: the one that
                ``PURGEKIT_EVIDENCE_KEY_FILE`` names, else one made for this machine's state folder.

        Returns:
            The report of a completed or stopped run.

        Raises:
            PurgekitError: nothing was changed.
            PurgeFailed: it failed part-way; ``report`` of the error tells what was done.
        """
        limits = limits or Limits()
        check_reclaim(reclaim)
        control = control or _core.RunControl()
        if archive is not None and isinstance(plan, (Plan, PlanFile)):
            raise PolicyError("archive is part of a plan: give it to plan(), or give run() policies instead of a plan")
        if isinstance(plan, PlanFile):
            plan = self.renew(plan, within=limits.within, max_plan_age=max_plan_age, ledger=ledger)
        elif not isinstance(plan, Plan):
            plan = self.plan(
                plan,
                exact=limits.within is not None,
                max_fraction=limits.max_fraction,
                accept_clock=accept_clock,
                archive=archive,
                ledger=ledger,
            )
        self._check_fuses(plan, limits, ledger)
        replicas = [self._replica(url) for url in limits.replicas]
        options, end = run_options(plan, limits, ledger, control, accept_clock, evidence_key, replicas)
        options.update(on_progress=on_progress, reclaim=reclaim, pacer=pacer)
        return _finished(Report(Recorded(self._connection, str(self._target), plan, options, end).run()))

    def watch(
        self,
        policies: Policies,
        *,
        interval_s: float = DEFAULT_INTERVAL_S,
        limits: Limits | None = None,
        on_purge: Purged | None = None,
        ledger: str = DEFAULT_LEDGER,
        control: _core.RunControl | None = None,
        max_fraction: float | None = None,
        accept_clock: bool = False,
        accept_scan: bool = False,
        archive: str | os.PathLike[str] | None = None,
        pacer: Pacer | None = None,
        evidence_key: str | os.PathLike[str] | None = None,
        session_s: float = 86_400.0,
    ) -> Report:
        """Keep purging as rows expire, until ``control`` stops it, Ctrl-C, or a limit.

        Each policy has a connection of its own. In each interval one row is looked for by an index; where there is one,
        what is purgeable by now goes as in ``run``. All purges of a day are one run in the ledger. When the server is
        gone it is waited for.

        Args:
            policies: one policy or several.
            interval_s: seconds between two looks, 0.05 to 20.
            limits: as for ``run``; ``max_rows_per_s`` is 5,000 when it is not given, and ``workers`` stays 1.
            on_purge: called from this thread after each purge that did something, with ``purgekit.watch/1``.
            ledger: as for ``run``.
            control: to stop or cancel it from elsewhere.
            max_fraction: refuse to begin when a larger share of a table is purgeable.
            accept_clock: as for ``plan``.
            accept_scan: also watch what no index finds: the table is read again and again, though never for more than a
                twentieth of the time.
            archive: as for ``plan``.
            pacer: as for ``run``.
            evidence_key: as for ``run``.
            session_s: after this time the run's record is closed and another one is opened.

        Returns:
            The report over the whole time: ``stopped``, with the reason.

        Raises:
            PurgekitError: nothing was changed.
            PurgeFailed: it could not go on; ``report`` of the error tells what was done.
        """
        limits = watch_limits(limits)
        interval_s = check_interval(interval_s)
        plan = self.plan(
            policies,
            max_fraction=limits.max_fraction if max_fraction is None else max_fraction,
            accept_clock=accept_clock,
            archive=archive,
            ledger=ledger,
        )
        self._check_fuses(plan, limits, ledger)
        warn_of_endless_evidence(plan.native.policies, ledger)
        control = control or _core.RunControl()
        replicas = [self._replica(url) for url in limits.replicas]
        options, end = run_options(plan, limits, ledger, control, accept_clock, evidence_key, replicas)
        options.update(
            on_progress=None,
            pacer=pacer,
            on_purge=telling(on_purge),
            watch_interval_s=interval_s,
            watch_session_s=session_s,
            watch_archive=plan.archive or "",
            accept_scan=accept_scan,
        )
        return _finished(Report(Recorded(self._connection, str(self._target), plan, options, end).run()))

    def restore(
        self,
        run_id: str,
        *,
        archive: str | os.PathLike[str] | None = None,
        policy: str | Sequence[str] | None = None,
        table: str | Sequence[str] | None = None,
        where: Mapping[str, object] | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        on_conflict: str = "refuse",
        hold: bool = True,
        ledger: str = DEFAULT_LEDGER,
        lock_wait_ms: int = 1_000,
        control: _core.RunControl | None = None,
        on_progress: Progress | None = None,
    ) -> RestoreReport:
        """Put rows back that a run has archived, parents before children, each row once.

        A chunk comes back in one transaction, in which the archive marks it; so a restore that was stopped or killed is
        gone on with by the same call. The archive keeps all rows. What the run kept in files is read first, all of it
        checked, and loaded into archive tables; from there it comes back.

        Args:
            run_id: the run that deleted them, as in ``history``.
            archive: where the run's archive files are now, if not where it wrote them.
            policy: only what these policies of the run deleted.
            table: only rows of these tables.
            where: column to value: only rows that have all of them, and children of such rows.
            since: only what was deleted at or after this instant (UTC without a zone).
            until: only what was deleted before it.
            on_conflict: where a row with the same key is there: ``refuse`` stops, ``skip`` leaves the archived row in
                the archive, ``replace`` overwrites.
            hold: keep the next purge from taking the restored rows again.
            ledger: where the run is recorded.
            lock_wait_ms: longest wait for a locked row.
            control: to stop or cancel it from elsewhere.
            on_progress: called with a dict after each chunk, on the thread that called.

        Raises:
            PurgekitError: nothing was changed.
            PurgeFailed: it failed part-way; ``restored`` of the error tells what came back.
        """
        return restore(
            self._connection,
            str(self._target),
            run_id,
            archive=archive,
            policy=policy,
            table=table,
            where=where,
            since=since,
            until=until,
            on_conflict=on_conflict,
            hold=hold,
            ledger=ledger,
            lock_wait_ms=lock_wait_ms,
            control=control,
            on_progress=on_progress,
        )

    def purge_keys(
        self,
        policy: _core.Policy,
        keys: Sequence[object],
        *,
        archive: bool | str | None = None,
        ledger: str = DEFAULT_LEDGER,
        accept_clock: bool = False,
    ) -> PurgedKeys:
        """Delete rows by their primary keys, as far as the policy takes them at this instant.

        For an application to call when it issues, refreshes or revokes something. One short transaction: dependents
        first, every condition of the policy tested by the deleting statement on the row's latest version, holds obeyed,
        counts written into the ledger. What the policy does not take (not expired, referred to, held, not there) stays,
        without an error. Nothing is planned but at a policy's first call, so keep the connection and the ``Policy``
        object. Several threads may call; one waits for the other, so give those that are to work side by side a
        connection each.

        Args:
            policy: one policy; its limits and moves have no say here.
            keys: of the table's primary key, at most 1,000; tuples where it has several columns, and then 200.
            archive: keep the rows, True: as the policy says, else in its default archive table; False: don't; None: as
                the policy says; or ``table:NAME``. Files are not offered here.
            ledger: whose holds are obeyed and which counts; ``none``: no such holds, no record.
            accept_clock: go on although a sampled time column looks implausible in its unit.

        Raises:
            PurgekitError: nothing was changed, unless its ``code`` is ``in_doubt``; ``retryable`` says whether to call
                again.
        """
        return self._key_purges.purge(policy, keys, archive, ledger, accept_clock)

    def history(self, ledger: str = DEFAULT_LEDGER) -> list[Json]:
        """The runs that the database's own ledger knows, the newest first."""
        runs: list[Json] = json.loads(self._connection.history(ledger))["runs"]
        return sorted(runs, key=lambda run: str(run["run_id"]), reverse=True)

    def evidence(self, run_id: str, *, ledger: str = DEFAULT_LEDGER) -> Evidence:
        """The evidence of what a run deleted, as it stands in the ledger; ``save`` writes what ``verify`` reads.

        Raises:
            PurgeRefused: there is none; it says why.
        """
        notes = self._connection.evidence(run_id, ledger)
        return Evidence(run_id, notes, self._connection.backend, self._connection.server())

    def hold(
        self,
        held_table: str,
        *,
        where: _core.Predicate | None = None,
        keys: Sequence[object] | None = None,
        column: str | Sequence[str] | None = None,
        table: str | None = None,
        on: Mapping[str, str] | None = None,
        reason: str = "",
        by: str | None = None,
        ledger: str = DEFAULT_LEDGER,
        wait_s: float = 60,
        typed_as_text: bool = False,
    ) -> _holds.Hold:
        """Keep rows from being purged until the hold is released, by a rule, by keys, or by a table of keys.

        When it returns, no chunk that began without knowing of the hold can be committed any more; purges that are
        running go on with it. A row of which the rule can't tell (NULL) counts as held. Held rows of a dependent table
        keep the rows they would go with.

        Args:
            held_table: whose rows stay.
            where: a rule, as in policies. With ``table``: which rows of the table of keys count.
            keys: at most 1,000 of them; tuples when there are several columns, and then 200.
            column: of the keys; None: the primary key's.
            table: an ordinary table of keys. Whoever writes into it decides what is held from then on.
            on: its columns mapped to those of ``held_table`` that they equal.
            reason: shown in plans and lists, as ``by`` is (None: the login).
            by: who asks for it.
            ledger: where it is kept; only runs with this ledger see it.
            wait_s: longest wait for chunks under way.
            typed_as_text: texts in ``where`` and ``keys`` stand for values of their column's type.

        Raises:
            PurgekitError: it is not kept.
            PurgeFailed: it is kept, but a purge under way may not know of it; make the same hold again.
        """
        return _holds.add(
            self._connection,
            held_table,
            where=where,
            keys=keys,
            column=column,
            table=table,
            on=on,
            reason=reason,
            by=by,
            ledger=ledger,
            wait_s=wait_s,
            typed_as_text=typed_as_text,
        )

    def holds(self, ledger: str = DEFAULT_LEDGER) -> list[_holds.Hold]:
        """The holds that are kept in the database's ledger, the oldest first."""
        return _holds.listed(self._connection, ledger)

    def release(self, hold_id: str, *, ledger: str = DEFAULT_LEDGER) -> _holds.Hold:
        """Let go of a hold: its rows go with the next run that takes them."""
        return _holds.release(self._connection, ledger, hold_id)

    def server(self) -> Json:
        """Product, version, clock, TLS and settings that hurt."""
        return self._connection.server()

    def cancel(self) -> None:
        """End the call under way, from any thread. A chunk in hand is rolled back."""
        self._connection.cancel()

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Database {self._target}>"

    def _check_fuses(self, plan: Plan, limits: Limits, ledger: str) -> None:
        require_approval(plan.native.policies, plan.file)
        if plan.file is not None and limits.within is not None:
            return  # that was the measure against the plan file
        if limits.within is not None or any(policy.within_pct is not None for policy in plan.native.policies):
            check_within(plan, limits.within_pct, None if ledger == "none" else self.history(ledger))

    def _replica(self, url: str) -> tuple[str, Json]:
        """What to call it, and how to connect to it."""
        target = parse_url(url)
        backend = _core.backend_for(target.scheme)
        if backend != self._connection.backend:
            raise PurgeRefused(f"replica {target} is another kind of database than {self._target}", code="replica_lag")
        connect_timeout_ms, lock_wait_ms = self._waits
        return str(target), {
            "scheme": target.scheme,
            "user": target.user,
            "password": find_password(target, *self._password),
            "host": target.host,
            "port": target.port,
            "database": target.database,
            "options": list(target.options),
            "connect_timeout_ms": connect_timeout_ms,
            "lock_wait_ms": lock_wait_ms,
        }


def _explained(failure: ConnectionFailed, target: Target) -> ConnectionFailed:
    from purgekit.certificates import with_reason

    return with_reason(failure, target)


def _finished(report: Report) -> Report:
    if report.status != "failed":
        return report
    error = report.error or {}
    failure = PurgeFailed(
        report.failure,
        code=str(error.get("code") or ""),
        table=error.get("table"),
        policy=error.get("policy"),
    )
    failure.report = report
    raise failure

"""Compares what is left in the database with the writers' book and the policy. Knows nothing of how a purge works."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from faults.book import Book, Life, Row
from faults.shapes import COLUMNS, MAIN, SESSION_ID, Meaning, Shape

ARCHIVE = "purgekit_archive_"
LEDGER = "purgekit_ledger"
MANY = 5  # keys named in a complaint


@dataclass
class Outcome:
    """What one purge said of itself when it ended."""

    name: str
    code: int
    document: dict[str, Any] | None
    harmed: bool  # killed, frozen or starved: it may have said less than it did


@dataclass
class Found:
    """What is in the database after all is over, read by an independent driver, and what the two histories say."""

    content: dict[str, list[Row]]  # every table of the shape
    archives: dict[str, list[tuple[Any, ...]]]  # by source table: source columns, then run, chunk, instant
    tables: set[str]
    records: list[dict[str, Any]]  # run records of the ledger
    ledger_history: list[dict[str, Any]]  # purgekit history URL
    state_history: list[dict[str, Any]]  # purgekit history
    outcomes: list[Outcome]


@dataclass
class Terms:
    """What the schedule's faults make impossible to know or right to happen."""

    now_s: int
    archived: bool = False
    crashed: bool = False  # a server crash may bring back what a writer saw gone
    state_lags: bool = False  # the state folder could not always be written
    rolled_back: bool = False  # the database went back in time: what earlier runs reported is not what is true now
    ended: bool = True  # the last run is expected to have finished the table
    grace_s: int = 7_200
    other_grace_s: int | None = None  # a policy with this grace was at work for a while too
    extra_tables: frozenset[str] = frozenset()


@dataclass
class Verdict:
    """Complaints, and figures for the tally. An empty list of complaints is the only good verdict."""

    complaints: list[str] = field(default_factory=list)
    rows_purged: int = 0
    rows_purged_at_most: int = 0
    live_lost: int = 0
    archive_wrong: int = 0
    counts_wrong: int = 0

    def complain(self, text: str, keys: Sequence[Any] = ()) -> None:
        self.complaints.append(text + (": " + ", ".join(map(str, keys[:MANY])) if keys else ""))


def check(shape: Shape, book: Book, found: Found, terms: Terms) -> Verdict:
    verdict = Verdict()
    content = {table: _by_key(verdict, table, rows) for table, rows in found.content.items()}
    ever = list(book.ever(MAIN))
    meaning = Meaning(shape, terms.now_s, content, ever, terms.grace_s)
    wide = meaning
    if terms.other_grace_s is not None:
        wide = Meaning(shape, terms.now_s + 300, content, ever, min(terms.grace_s, terms.other_grace_s))

    purged: dict[str, list[Life]] = {}
    perhaps: dict[str, list[Life]] = {}
    for table in shape.tables:
        purged[table], perhaps[table] = _missing(verdict, table, book, content[table])
    gone_parents = {life.key for life in purged[MAIN] + perhaps[MAIN]}
    _check_main(verdict, purged[MAIN], perhaps[MAIN], wide)
    _check_parts(verdict, shape, purged, perhaps, content, gone_parents)
    certain = sum(len(purged[table]) for table in shape.purged)
    verdict.rows_purged, verdict.rows_purged_at_most = certain, certain + sum(len(perhaps[t]) for t in shape.purged)
    if terms.archived:
        _check_archives(verdict, shape, purged, perhaps, found)
    _check_end(verdict, meaning, content[MAIN], found.outcomes, terms)
    _check_counts(verdict, found, terms)
    _check_tables(verdict, shape, found, terms)
    return verdict


def _by_key(verdict: Verdict, table: str, rows: list[Row]) -> dict[object, Row]:
    keyed = {row[0]: row for row in rows}
    if len(keyed) != len(rows):
        verdict.complain(f"{table} holds keys twice", [k for k, n in Counter(r[0] for r in rows).items() if n > 1])
    return keyed


def _missing(verdict: Verdict, table: str, book: Book, present: dict[object, Row]) -> tuple[list[Life], list[Life]]:
    """Rows that only a purge can have deleted; rows that it or a writer may have deleted, or that never were."""
    ledger = book.tables[table]
    purged: list[Life] = list(ledger.former)
    perhaps: list[Life] = []
    unknown = [key for key in present if key not in ledger.lives]
    if unknown:
        verdict.complain(f"{table} holds rows nobody inserted", unknown)
    for key, life in ledger.lives.items():
        row = present.get(key)
        if row is not None:
            if life.removed:
                verdict.complain(f"{table}: a row that a writer deleted is back", [key])
            elif row not in life.versions:
                verdict.complain(f"{table}: a row is not as last committed: {row} instead of {life.versions}")
        elif not life.removed:
            (purged if life.inserted and not life.perhaps_removed else perhaps).append(life)
    return purged, perhaps


def _check_main(verdict: Verdict, purged: list[Life], perhaps: list[Life], meaning: Meaning) -> None:
    lost = [life for life in purged if not any(meaning.may_have_gone(row) for row in life.versions)]
    # A row that a writer may have deleted is no loss; one whose insert may have failed neither.
    if lost:
        verdict.live_lost += len(lost)
        verdict.complain(f"{len(lost)} LIVE ROWS LOST from {MAIN}", [life.versions for life in lost])


def _check_parts(
    verdict: Verdict,
    shape: Shape,
    purged: dict[str, list[Life]],
    perhaps: dict[str, list[Life]],
    content: dict[str, dict[object, Row]],
    gone_parents: set[object],
) -> None:
    """Children go with their parents and never otherwise; tables the policy does not purge stay untouched."""
    for table in shape.tables[1:]:
        if table not in shape.purged:
            lost = purged[table]
        else:
            lost = [life for life in purged[table] if life.versions[-1][SESSION_ID] not in gone_parents]
            orphans = [row[0] for row in content[table].values() if row[SESSION_ID] in gone_parents]
            if orphans:
                verdict.complain(f"{table} kept rows of purged parents", orphans)
        if lost:
            verdict.live_lost += len(lost)
            verdict.complain(f"{len(lost)} LIVE ROWS LOST from {table}", [life.versions for life in lost])


def _check_archives(
    verdict: Verdict, shape: Shape, purged: dict[str, list[Life]], perhaps: dict[str, list[Life]], found: Found
) -> None:
    for table in shape.purged:
        width = len(COLUMNS[table])
        rows = [row[:width] for row in found.archives.get(table, [])]
        doubled = [row for row, count in Counter(rows).items() if count > 1]
        if doubled:
            verdict.archive_wrong += len(doubled)
            verdict.complain(f"archive of {table} holds rows twice", doubled)
        waiting: dict[object, list[Life]] = defaultdict(list)
        for life in purged[table] + perhaps[table]:
            waiting[life.key].append(life)
        stray = []
        for row in set(rows):
            match = next((life for life in waiting[row[0]] if row in life.versions), None)
            if match is None:
                stray.append(row)
            else:
                waiting[row[0]].remove(match)
        if stray:
            verdict.archive_wrong += len(stray)
            verdict.complain(f"archive of {table} holds rows that were not deleted, or not as last committed", stray)
        sure = {id(life) for life in purged[table]}
        lost = [life.versions for lives in waiting.values() for life in lives if id(life) in sure]
        if lost:
            verdict.archive_wrong += len(lost)
            verdict.complain(f"{len(lost)} rows deleted from {table} are not in its archive", lost)
        unmarked = [
            row for row in found.archives.get(table, []) if any(mark is None for mark in row[width : width + 3])
        ]
        if unmarked:
            verdict.complain(f"archive of {table} has rows without run, chunk or instant", unmarked)


def _check_end(
    verdict: Verdict, meaning: Meaning, present: dict[object, Row], outcomes: list[Outcome], terms: Terms
) -> None:
    if not terms.ended:
        return
    left = [row for row in present.values() if meaning.left(row)]
    last = outcomes[-1]
    free = [row[0] for row in left if not meaning.held(row)]
    if free:
        verdict.complain(f"{len(free)} rows that may go are still there after exit code {last.code}", free)
    if last.code != (4 if left else 0):
        verdict.complain(f"the last run's exit code is {last.code}, with {len(left)} purgeable rows left")
    policies = (last.document or {}).get("policies", [])
    told = sum(policy["rows_left"] for policy in policies)
    if told != len(left):
        verdict.complain(f"the last run told of {told} rows left, there are {len(left)}")
    listed = sum(blocked["rows"] for policy in policies for blocked in policy["blocked"])
    if listed != len(left):
        verdict.complain(f"the last run listed {listed} blocked rows, there are {len(left)}")


def _check_counts(verdict: Verdict, found: Found, terms: Terms) -> None:
    def wrong(text: str) -> None:
        verdict.counts_wrong += 1
        verdict.complain(text)

    low, high = verdict.rows_purged, verdict.rows_purged_at_most
    truth = str(low) if low == high else f"{low} to {high}"
    recorded = sum(record["rows_deleted"] for record in found.records)
    if not low <= recorded <= high:
        wrong(f"the ledger's records sum to {recorded} rows, deleted were {truth}")
    told = sum(run["rows_deleted"] for run in found.ledger_history)
    if told != recorded:
        wrong(f"history of the ledger tells of {told} rows, its records of {recorded}")
    if terms.ended and any(record["status"] == "running" for record in found.records):
        wrong("the ledger still shows a run as running")
    if terms.archived:
        archived = sum(record["rows_archived"] for record in found.records)
        if archived != recorded:
            wrong(f"the ledger's records sum to {archived} archived rows, deleted were {recorded}")
    if terms.rolled_back:
        return
    by_run: dict[str, int] = defaultdict(int)
    for record in found.records:
        by_run[record["run_id"]] += record["rows_deleted"]
    state = {run["run_id"]: run for run in found.state_history}
    if (claimed := sum(run["rows_deleted"] or 0 for run in state.values())) > high:
        wrong(f"history of the state folder claims {claimed} rows, deleted were {truth}")
    for outcome in found.outcomes:
        document = outcome.document
        if document is None or document.get("schema") != "purgekit.run/1":
            continue
        run_id, rows = document["run_id"], document["rows_deleted"]
        recorded = by_run.get(run_id, 0)
        exact = outcome.code in (0, 3, 4) and not outcome.harmed
        if rows > recorded or (exact and rows != recorded):
            wrong(f"{outcome.name} (exit {outcome.code}) reported {rows} rows, the ledger has {recorded} for it")
        if run_id in state and (state[run_id]["rows_deleted"] or 0) != rows and not terms.state_lags:
            wrong(f"{outcome.name} reported {rows} rows, the state folder has {state[run_id]['rows_deleted']}")


def _check_tables(verdict: Verdict, shape: Shape, found: Found, terms: Terms) -> None:
    known = {*shape.tables, LEDGER, *terms.extra_tables}
    if terms.archived:
        known |= {ARCHIVE + table for table in shape.purged}
    if strays := sorted(found.tables - known):
        verdict.complain("tables left behind", strays)


def check_outcome(outcome: Outcome, out: str, err: str) -> list[str]:
    """What each run must keep to, whatever befell it: exit code, JSON, nothing but messages on standard error."""
    complaints = []
    where = f"{outcome.name} (exit {outcome.code})"
    if "Traceback" in err or "terminate called" in err:
        complaints.append(f"{where}: not fit for people: {err.strip()[-300:]}")
    if outcome.code < 0:
        if not outcome.harmed:
            complaints.append(f"{where}: died of signal {-outcome.code}")
        return complaints
    if outcome.code not in (0, 1, 2, 3, 4):
        complaints.append(f"{where}: no exit code of the contract")
    document = outcome.document
    if document is None:
        complaints.append(f"{where}: no JSON document on standard output: {out[:100]!r}")
        return complaints
    if document.get("exit_code") != outcome.code:
        complaints.append(f"{where}: the document says exit code {document.get('exit_code')}")
    wanted = "purgekit.error/1" if outcome.code == 2 else "purgekit.run/1"
    # A run that fails or is interrupted before the purge proper has nothing to report but that.
    if document.get("schema") not in ((wanted, "purgekit.error/1") if outcome.code in (1, 3) else (wanted,)):
        complaints.append(f"{where}: the document is {document.get('schema')}")
    if outcome.code != 0 and not err.strip():
        complaints.append(f"{where}: nothing on standard error")
    # What an interpreter without memory says by itself is its own affair.
    fit = ("purgekit", "[", *(("Exception ignored in", "MemoryError") if outcome.harmed else ()))
    for line in err.splitlines():
        if not line.startswith(fit) and line.strip():
            complaints.append(f"{where}: a line that is no message: {line[:200]}")
    reasons = [policy.get("stop_reason") for policy in document.get("policies", [])] or [document.get("code")]
    if outcome.code == 3 and not any(reasons):
        complaints.append(f"{where}: stopped without a reason")
    return complaints


def parse_records(rows: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Documents of the ledger's run records."""
    return [json.loads(document) for kind, document in rows if kind == "run"]

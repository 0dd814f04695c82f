"""The checker must be able to fail: what it is to find is planted, one thing at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from faults.book import Book, Row
from faults.checker import LEDGER, Found, Outcome, Terms, Verdict, check, check_outcome
from faults.shapes import COLUMNS, EXPIRES, MAIN, PARTS, SESSION_ID, SHAPES, Meaning, RowMaker, Shape, initial_rows

NOW_S = 1_800_000_000
ROWS = 300


class Scene:
    """A purge that went well, as the checker gets to see it."""

    def __init__(self, shape_name: str) -> None:
        self.shape: Shape = SHAPES[shape_name]
        rng = random.Random(5)
        maker = RowMaker(rng, self.shape, NOW_S, 0.6, text_keys=False, numbers=True)
        rows = initial_rows(maker, self.shape, ROWS, rng)
        self.book = Book({table: COLUMNS[table] for table in self.shape.tables})
        for table, content in rows.items():
            for row in content:
                self.book.insert(table, row)
        keyed = {table: {row[0]: row for row in content} for table, content in rows.items()}
        meaning = Meaning(self.shape, NOW_S, keyed, rows[MAIN])
        gone = {row[0] for row in rows[MAIN] if meaning.left(row) and not meaning.held(row)}
        self.content = {MAIN: [row for row in rows[MAIN] if row[0] not in gone]}
        self.archives: dict[str, list[Row]] = {MAIN: [self.archived(r) for r in rows[MAIN] if r[0] in gone]}
        for table in self.shape.tables[1:]:
            goes = {r[0] for r in rows[table] if r[SESSION_ID] in gone} if table in self.shape.purged else set()
            self.content[table] = [row for row in rows[table] if row[0] not in goes]
            if table in self.shape.purged:
                self.archives[table] = [self.archived(row) for row in rows[table] if row[0] in goes]
        deleted = sum(map(len, self.archives.values()))
        left = sum(meaning.left(row) for row in self.content[MAIN])
        blocked = [{"rows": left}] if left else []
        self.document = {
            "schema": "purgekit.run/1",
            "run_id": "r1",
            "rows_deleted": deleted,
            "exit_code": 4 if left else 0,
            "policies": [{"rows_left": left, "blocked": blocked}],
        }
        self.record = {"run_id": "r1", "rows_deleted": deleted, "rows_archived": deleted, "status": "completed"}
        self.terms = Terms(NOW_S, archived=True)
        self.tables = {*self.shape.tables, LEDGER, *(f"purgekit_archive_{table}" for table in self.shape.purged)}

    @staticmethod
    def archived(row: Row) -> Row:
        return (*row, "r1", 1, "2027-01-15T08:00:00Z")

    def some(self, expired: bool) -> Row:
        """A row still there (a live one), or one that was purged."""
        rows = self.archives[MAIN] if expired else self.content[MAIN]
        return next(row for row in rows if row[EXPIRES] is not None and row[EXPIRES] > 0)[: len(COLUMNS[MAIN])]

    def verdict(self) -> Verdict:
        history = [{"run_id": "r1", "rows_deleted": self.record["rows_deleted"]}]
        state = [{"run_id": "r1", "rows_deleted": self.document["rows_deleted"]}]
        outcome = Outcome("run01", int(str(self.document["exit_code"])), self.document, harmed=False)
        found = Found(self.content, self.archives, self.tables, [self.record], history, state, [outcome])
        return check(self.shape, self.book, found, self.terms)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_nothing_wrong_nothing_said(shape: str) -> None:
    verdict = Scene(shape).verdict()
    assert verdict.complaints == []
    assert verdict.rows_purged == verdict.rows_purged_at_most > 20


def lose_a_live_row(scene: Scene) -> None:
    scene.content[MAIN].remove(scene.some(expired=False))


def lose_and_archive_a_live_row(scene: Scene) -> None:
    row = scene.some(expired=False)
    scene.content[MAIN].remove(row)
    scene.archives[MAIN].append(scene.archived(row))


def lose_a_renewed_row(scene: Scene) -> None:
    """The writer's UPDATE reached the row, so it was there and live; now it is gone."""
    row = scene.some(expired=True)
    scene.book.update(MAIN, (*row[:EXPIRES], NOW_S + 9_999, *row[EXPIRES + 1 :]))


def leave_a_doomed_row(scene: Scene) -> None:
    row = scene.archives[MAIN].pop()[: len(COLUMNS[MAIN])]
    scene.content[MAIN].append(row)
    scene.record["rows_deleted"] = scene.record["rows_archived"] = scene.document["rows_deleted"] = (
        int(str(scene.document["rows_deleted"])) - 1
    )


def archive_a_row_twice(scene: Scene) -> None:
    scene.archives[MAIN].append(scene.archives[MAIN][0])


def archive_a_row_that_stayed(scene: Scene) -> None:
    scene.archives[MAIN].append(scene.archived(scene.some(expired=False)))


def archive_an_old_version(scene: Scene) -> None:
    row = scene.archives[MAIN][0]
    scene.archives[MAIN][0] = (*row[:4], 77, *row[5:])


def lose_an_archived_row(scene: Scene) -> None:
    scene.archives[MAIN].pop()


def count_too_many(scene: Scene) -> None:
    scene.record["rows_deleted"] = scene.record["rows_archived"] = int(str(scene.record["rows_deleted"])) + 1


def report_too_many(scene: Scene) -> None:
    scene.document["rows_deleted"] = int(str(scene.document["rows_deleted"])) + 1


def forget_to_report(scene: Scene) -> None:
    scene.document["rows_deleted"] = int(str(scene.document["rows_deleted"])) - 1


def count_archived_wrongly(scene: Scene) -> None:
    scene.record["rows_archived"] = int(str(scene.record["rows_archived"])) - 1


def run_for_ever(scene: Scene) -> None:
    scene.record["status"] = "running"


def bring_a_row_back(scene: Scene) -> None:
    scene.content[MAIN].append((777_777, 1, None, 1, 0, "stranger"))


def change_a_row(scene: Scene) -> None:
    row = scene.content[MAIN].pop()
    scene.content[MAIN].append((*row[:-1], "changed"))


def undo_a_writers_delete(scene: Scene) -> None:
    scene.book.delete(MAIN, scene.some(expired=False)[0])


def leave_a_table(scene: Scene) -> None:
    scene.tables.add("purgekit_tmp")


def claim_success(scene: Scene) -> None:
    scene.document["exit_code"] = 4


@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (lose_a_live_row, "LIVE ROWS LOST"),
        (lose_and_archive_a_live_row, "LIVE ROWS LOST"),
        (lose_a_renewed_row, "LIVE ROWS LOST"),
        (leave_a_doomed_row, "still there"),
        (archive_a_row_twice, "holds rows twice"),
        (archive_a_row_that_stayed, "not deleted"),
        (archive_an_old_version, "not as last committed"),
        (lose_an_archived_row, "are not in its archive"),
        (count_too_many, "ledger's records sum to"),
        (report_too_many, "the ledger has"),
        (forget_to_report, "the ledger has"),
        (count_archived_wrongly, "archived rows, deleted were"),
        (run_for_ever, "as running"),
        (bring_a_row_back, "nobody inserted"),
        (change_a_row, "not as last committed"),
        (undo_a_writers_delete, "is back"),
        (leave_a_table, "tables left behind"),
        (claim_success, "exit code is 4"),
    ],
)
def test_what_is_planted_is_found(plant: Callable[[Scene], None], told: str) -> None:
    scene = Scene("plain")
    plant(scene)
    complaints = scene.verdict().complaints
    assert any(told in complaint for complaint in complaints), complaints


def test_a_child_that_went_without_its_parent_is_found() -> None:
    scene = Scene("dependents")
    scene.content[PARTS].pop()
    assert any(f"LIVE ROWS LOST from {PARTS}" in text for text in scene.verdict().complaints)


def test_a_child_that_outlived_its_parent_is_found() -> None:
    scene = Scene("dependents")
    scene.content[PARTS].append(scene.archives[PARTS].pop()[: len(COLUMNS[PARTS])])
    assert any("kept rows of purged parents" in text for text in scene.verdict().complaints)


def test_a_row_in_use_that_went_is_found() -> None:
    scene = Scene("unused")
    used = {row[SESSION_ID] for row in scene.content["SESSION_USES"]}
    row = next(row for row in scene.content[MAIN] if row[0] in used)
    scene.content[MAIN].remove(row)
    assert any("LIVE ROWS LOST" in text for text in scene.verdict().complaints)


def test_the_newest_of_a_group_that_went_is_found() -> None:
    scene = Scene("latest")
    newest = max((row for row in scene.content[MAIN] if row[1] == 7), key=lambda row: int(row[3]))
    scene.content[MAIN].remove(newest)
    assert any("LIVE ROWS LOST" in text for text in scene.verdict().complaints)


def test_doubt_is_no_excuse_for_more_than_the_doubt() -> None:
    """A writer that never heard of its renewal leaves two possibilities: both are allowed, a third isn't."""
    scene = Scene("plain")
    row = scene.some(expired=True)
    scene.book.update(MAIN, (*row[:EXPIRES], NOW_S + 9_999, *row[EXPIRES + 1 :]), certain=False)
    assert scene.verdict().complaints == []
    scene = Scene("plain")
    row = scene.some(expired=False)
    scene.book.update(MAIN, (*row[:EXPIRES], NOW_S + 9_999, *row[EXPIRES + 1 :]), certain=False)
    scene.content[MAIN].remove(row)
    assert any("LIVE ROWS LOST" in text for text in scene.verdict().complaints)


GOOD: dict[str, Any] = {"schema": "purgekit.run/1", "exit_code": 0, "policies": []}


@pytest.mark.parametrize(
    ("changes", "out", "err", "told"),
    [
        ({"code": -11}, "", "", "died of signal 11"),
        ({"code": 5}, "", "", "no exit code of the contract"),
        ({"document": None}, "oops", "", "no JSON document"),
        ({"code": 1}, "", "purgekit: failed", "the document says exit code 0"),
        ({}, "", "Traceback (most recent call last):", "not fit for people"),
        ({}, "", "Segmentation fault", "a line that is no message"),
        ({"code": 3, "document": {**GOOD, "exit_code": 3}}, "", "purgekit: stopped", "without a reason"),
        ({"code": 2, "document": {**GOOD, "exit_code": 2}}, "", "purgekit: no", "the document is purgekit.run/1"),
    ],
)
def test_what_a_run_may_not_do(changes: dict[str, Any], out: str, err: str, told: str) -> None:
    good = Outcome("run01", 0, GOOD, harmed=False)
    assert check_outcome(good, "", "") == []
    complaints = check_outcome(replace(good, **changes), out, err)
    assert any(told in complaint for complaint in complaints), complaints


def test_only_a_starved_interpreter_may_speak_of_memory() -> None:
    said = "Exception ignored in: 'purgekit log sink'\nMemoryError: \n"
    assert check_outcome(Outcome("run01", 0, GOOD, harmed=True), "", said) == []
    assert len(check_outcome(Outcome("run01", 0, GOOD, harmed=False), "", said)) == 2

"""Foreground writers: threads that renew, insert and delete rows while a purge runs, and keep book of it.

Each row has one writer, so what is last committed of it is known exactly. When no clear answer comes, the writer
connects again and looks; where the row is gone by then, the book keeps both possibilities.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from faults.book import Book, Key, Row
from faults.places import Place
from faults.shapes import COLUMNS, EXPIRES, MAIN, PARTS, RowMaker, Shape
from servers import Connection

RESOLVE_BOUND_S = 90.0


class Writers:
    """All writers of one schedule. ``stop`` before looking at the book."""

    def __init__(
        self, count: int, place: Place, shape: Shape, book: Book, maker: RowMaker, seed: str, pause_s: float
    ) -> None:
        self.stopping = threading.Event()
        self.failures: list[str] = []
        self.done = 0
        self._writers = [
            Writer(self, number, count, place, shape, book, maker, random.Random(f"{seed}/{number}"), pause_s)
            for number in range(count)
        ]
        self._threads = [threading.Thread(target=writer.run, daemon=True) for writer in self._writers]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(RESOLVE_BOUND_S + 30)
            if thread.is_alive():
                self.failures.append("a writer does not end")
        self._threads = []


class Writer:
    def __init__(
        self,
        all_writers: Writers,
        number: int,
        count: int,
        place: Place,
        shape: Shape,
        book: Book,
        maker: RowMaker,
        rng: random.Random,
        pause_s: float,
    ) -> None:
        self._all, self._number, self._place, self._shape, self._book = all_writers, number, place, shape, book
        self._maker, self._rng, self._pause_s = maker, rng, pause_s
        self._connection: Connection | None = None
        self._version = (number + 1) * 1_000_000
        own = sorted(book.tables[MAIN].lives, key=str)
        self._keys: list[Key] = own[number::count]
        self._others = {table: sorted(book.tables[table].lives)[number::count] for table in shape.tables[1:]}
        self._next_row = (number + 1) * 100_000
        self._acts: list[Callable[[], None]] = [self._renew] * 4 + [
            self._touch,
            self._insert,
            self._together,
            self._expire,
        ]
        if shape.writers_delete:
            self._acts += [self._delete]
            if not shape.foreign_key:
                self._acts += [self._insert_again]
        if self._others:
            self._acts += [self._delete_other]

    def run(self) -> None:
        try:
            while not self._all.stopping.is_set():
                self._rng.choice(self._acts)()
                self._all.done += 1
                time.sleep(self._rng.uniform(0, self._pause_s))
        except Exception as error:
            self._all.failures.append(f"writer {self._number}: {type(error).__name__}: {error}")
        finally:
            self._disconnect()

    # Acts, each committed when it returns

    def _renew(self) -> None:
        self._change({EXPIRES: self._maker.live_time()})

    def _expire(self) -> None:
        self._change({EXPIRES: self._maker.doomed_time()})

    def _touch(self) -> None:
        self._change({})

    def _change(self, values: dict[int, Any]) -> None:
        if row := self._some_row():
            new = self._changed(row, values)
            self._settle([("update", MAIN, new)], lambda: self._update(MAIN, new))

    def _insert(self) -> None:
        self._next_row += 1
        row = self._maker.main(self._next_row, self._new_version())
        self._settle([("insert", MAIN, row)], lambda: self._put(MAIN, row))
        if self._book.certain(MAIN, row[0]):
            self._keys.append(row[0])

    def _insert_again(self) -> None:
        """A key that the purge has taken comes back."""
        row = self._some_row()
        try:
            if row is None or self._look(MAIN, row[0]) is not None:
                return
        except Exception:  # the server is away: another time
            self._disconnect()
            return
        new = self._changed(
            row, {EXPIRES: self._maker.doomed_time() if self._rng.random() < 0.5 else self._maker.live_time()}
        )
        self._settle([("insert", MAIN, new)], lambda: self._put(MAIN, new))

    def _delete(self) -> None:
        if row := self._some_row():
            self._settle([("delete", MAIN, row)], lambda: self._remove(MAIN, row[0]))

    def _delete_other(self) -> None:
        table, keys = self._rng.choice(list(self._others.items()))
        key = self._rng.choice(keys) if keys else None
        row = self._book.certain(table, key)
        if row is None:
            return
        if table == PARTS and self._shape.name == "dependents":
            new = self._changed(row, {}, PARTS)
            self._settle([("update", PARTS, new)], lambda: self._update(PARTS, new))
        else:
            self._settle([("delete", table, row)], lambda: self._remove(table, row[0]))

    def _together(self) -> None:
        """Several rows in one transaction, in any order, held for a while: deadlocks and lock waits."""
        rows = [row for row in (self._some_row() for _ in range(self._rng.randint(2, 4))) if row]
        news = list({row[0]: self._changed(row, {EXPIRES: self._maker.live_time()}) for row in rows}.values())
        hold_s = self._rng.choice((0.0, 0.005, 0.1, 0.5))
        give_up = self._rng.random() < 0.3

        def work() -> list[int]:
            cursor = self._connect().cursor()
            cursor.execute("BEGIN")
            counts = [self._update(MAIN, new)[0] for new in news]
            self._all.stopping.wait(hold_s)
            cursor.execute("ROLLBACK" if give_up else "COMMIT")
            return [0] * len(news) if give_up else counts

        self._settle([("update", MAIN, new) for new in news], work)

    # How it is done

    def _some_row(self) -> Row | None:
        return self._book.certain(MAIN, self._rng.choice(self._keys)) if self._keys else None

    def _new_version(self) -> int:
        self._version += 1
        return self._version

    def _changed(self, row: Row, values: dict[int, Any], table: str = MAIN) -> Row:
        values = {**values, COLUMNS[table].index("VERSION"): self._new_version()}
        return tuple(values.get(place, value) for place, value in enumerate(row))

    def _settle(self, acts: list[tuple[str, str, Row]], work: Callable[[], list[int]]) -> None:
        """Do it and note what came of it. ``work`` returns the number of rows that each act reached."""
        try:
            counts = work()
        except Exception:
            self._disconnect()
            for kind, table, row in acts:
                self._resolve(kind, table, row)
            return
        for (kind, table, row), count in zip(acts, counts, strict=True):
            if count:
                self._note(kind, table, row)

    def _note(self, kind: str, table: str, row: Row, *, certain: bool = True) -> None:
        if kind == "insert":
            self._book.insert(table, row, certain=certain)
        elif kind == "update":
            self._book.update(table, row, certain=certain)
        else:
            self._book.delete(table, row[0], certain=certain)

    def _resolve(self, kind: str, table: str, row: Row) -> None:
        """After an error: the row tells whether the statement took effect, unless it is gone."""
        deadline_s = time.monotonic() + RESOLVE_BOUND_S
        while True:
            try:
                there = self._look(table, row[0])
                break
            except Exception:
                self._disconnect()
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.05)
        version = COLUMNS[table].index("VERSION")
        if there is None:
            self._note(kind, table, row, certain=False)
        elif kind != "delete" and there[version] == row[version]:
            self._note(kind, table, row)

    def _look(self, table: str, key: Key) -> Row | None:
        cursor = self._connect().cursor()
        names = ", ".join(self._place.quoted(name) for name in COLUMNS[table])
        cursor.execute(
            f"SELECT {names} FROM {self._place.quoted(table)} WHERE {self._place.quoted('ID')} = {self._place.mark}",
            (key,),
        )
        row = cursor.fetchone()
        return None if row is None else self._place.read(table, tuple(row))

    def _update(self, table: str, row: Row) -> list[int]:
        q, mark = self._place.quoted, self._place.mark
        sets = ", ".join(f"{q(name)} = {mark}" for name in COLUMNS[table][1:])
        return self._count(
            f"UPDATE {q(table)} SET {sets} WHERE {q('ID')} = {mark}", (*self._place.stored(table, row)[1:], row[0])
        )

    def _put(self, table: str, row: Row) -> list[int]:
        marks = ", ".join([self._place.mark] * len(row))
        return self._count(f"INSERT INTO {self._place.quoted(table)} VALUES ({marks})", self._place.stored(table, row))

    def _remove(self, table: str, key: Key) -> list[int]:
        q = self._place.quoted
        return self._count(f"DELETE FROM {q(table)} WHERE {q('ID')} = {self._place.mark}", (key,))

    def _count(self, sql: str, parameters: tuple[Any, ...]) -> list[int]:
        cursor = self._connect().cursor()
        cursor.execute(sql, parameters)
        return [cursor.rowcount]

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._place.connect()
            cursor = self._connection.cursor()
            if self._place.is_mysql:
                cursor.execute("SET SESSION innodb_lock_wait_timeout = 5")
            elif self._place.server is None:
                cursor.execute("PRAGMA foreign_keys = ON")
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(Exception):
                self._connection.close()
            self._connection = None

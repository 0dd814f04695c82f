"""The tables and policies that schedules purge, and what each policy means, told a second time in Python."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from faults.book import Row

MAIN, PARTS, USES = "SESSIONS", "SESSION_PARTS", "SESSION_USES"
COLUMNS = {
    MAIN: ("ID", "GRP", "EXPIRES", "SEQ_NO", "VERSION", "NOTE"),
    PARTS: ("ID", "SESSION_ID", "VERSION", "NOTE"),
    USES: ("ID", "SESSION_ID", "VERSION", "NOTE"),
}
ID, GRP, EXPIRES, SEQ_NO = range(4)
SESSION_ID = 1
GRACE_S = 7_200
PINNED = -1  # value of GRP that a trigger protects
KEPT = 2  # rows of a group that keep_latest keeps

Content = Mapping[str, Mapping[object, Row]]  # table to key to row


@dataclass(frozen=True)
class Shape:
    """A policy with the tables it concerns."""

    name: str
    rules: str  # lines of the policy beside table and expiry
    tables: tuple[str, ...] = (MAIN,)
    purged: tuple[str, ...] = (MAIN,)  # tables the policy deletes from
    foreign_key: bool = False  # PARTS refer to MAIN
    trigger: bool = False
    writers_delete: bool = True
    writers_insert_newest: bool = False  # only rows newer than all others of their group


SHAPES = {
    shape.name: shape
    for shape in (
        Shape("plain", ""),
        Shape(
            "unused",
            f'not_referenced_by = {{ table = "{USES}", on = {{ SESSION_ID = "ID" }} }}',
            tables=(MAIN, USES),
        ),
        Shape(
            "latest",
            f'keep_latest = {{ n = {KEPT}, per = ["GRP"], order_by = "SEQ_NO" }}',
            writers_delete=False,
            writers_insert_newest=True,
        ),
        Shape(
            "dependents",
            f'dependents = [{{ table = "{PARTS}", on = {{ SESSION_ID = "ID" }} }}]',
            tables=(MAIN, PARTS),
            purged=(MAIN, PARTS),
            writers_delete=False,
        ),
        Shape("guard", "", tables=(MAIN, PARTS), foreign_key=True),
        Shape("trigger", "", trigger=True),
    )
}


def policy_text(shape: Shape, stored_as: str, *, grace: str = "2h") -> str:
    unit = "s" if stored_as == "seconds" else "timestamp"
    return (
        f'[[policy]]\nname = "{shape.name}"\ntable = "{MAIN}"\ngrace = "{grace}"\n'
        f'expired = {{ column = "EXPIRES", unit = "{unit}" }}\n{shape.rules}\n'
    )


def expired(row: Row, now_s: int, grace_s: int = GRACE_S) -> bool:
    """Zero, negative and NULL never expire."""
    return row[EXPIRES] is not None and 0 < int(row[EXPIRES]) < now_s - grace_s


class Meaning:
    """What the policy says of rows, given the other tables as they are at the end."""

    def __init__(self, shape: Shape, now_s: int, content: Content, ever: Iterable[Row], grace_s: int = GRACE_S) -> None:
        self.shape = shape
        self._now_s = now_s
        self._grace_s = grace_s
        self._used = {row[SESSION_ID] for row in content.get(USES, {}).values()}
        self._referred = {row[SESSION_ID] for row in content.get(PARTS, {}).values()}
        self._places = _by_group(content[MAIN].values())
        self._places_ever = _by_group(ever)

    def _matches(self, row: Row, places: Mapping[object, list[int]]) -> bool:
        if not expired(row, self._now_s, self._grace_s):
            return False
        if self.shape.name == "unused":
            return row[ID] not in self._used
        if self.shape.name == "latest":
            newer = [place for place in places[row[GRP]] if place > row[SEQ_NO]]
            return len(newer) >= KEPT
        return True

    def held(self, row: Row) -> bool:
        """Something in the schema forbids deleting it."""
        return (self.shape.name == "guard" and row[ID] in self._referred) or (self.shape.trigger and row[GRP] == PINNED)

    def left(self, row: Row) -> bool:
        """It is there, and the policy says it may go."""
        return self._matches(row, self._places)

    def may_have_gone(self, row: Row) -> bool:
        """The policy allowed deleting it at some time: groups only grow, uses and parts only become fewer."""
        return self._matches(row, self._places_ever) and not self.held(row)


def _by_group(rows: Iterable[Row]) -> dict[object, list[int]]:
    groups: dict[object, list[int]] = defaultdict(list)
    for row in rows:
        groups[row[GRP]].append(row[SEQ_NO])
    return groups


class RowMaker:
    """Rows by seed: long expired, within grace, live, and never expiring."""

    def __init__(
        self, rng: random.Random, shape: Shape, now_s: int, doomed_share: float, text_keys: bool, numbers: bool
    ) -> None:
        self._rng = rng
        self._shape = shape
        self._now_s = now_s
        self._doomed_share = doomed_share
        self._text_keys = text_keys
        self._numbers = numbers  # zero counts as NULL; a time has no zero

    def key(self, number: int) -> object:
        return f"key-{number * 7919 % 100_003:06d}-{number}" if self._text_keys else number

    def doomed_time(self) -> int:
        return self._now_s - GRACE_S - self._rng.randint(600, 864_000)

    def live_time(self) -> int | None:
        choice = self._rng.random()
        if choice < 0.1:
            return None
        if choice < 0.2:
            return 0 if self._numbers else None
        if choice < 0.5:
            return self._now_s - self._rng.randint(0, GRACE_S - 1_800)
        return self._now_s + self._rng.randint(600, 864_000)

    def main(self, number: int, version: int) -> Row:
        doomed = self._rng.random() < self._doomed_share
        group = PINNED if self._shape.trigger and number % 97 == 5 else number % 37
        note = "n" * self._rng.choice((5, 50, 180))
        return (self.key(number), group, self.doomed_time() if doomed else self.live_time(), number, version, note)

    def parts(self, number: int, numbers: range) -> Row:
        return (number, self.key(self._rng.choice(numbers)), 0, "part")


def initial_rows(maker: RowMaker, shape: Shape, count: int, rng: random.Random) -> dict[str, list[Row]]:
    numbers = range(1, count + 1)
    rows = {MAIN: [maker.main(number, 0) for number in numbers]}
    others: Callable[[int], Row] = lambda number: maker.parts(number, numbers)  # noqa: E731
    share = 0.15 if shape.name == "guard" else 0.6
    for table in shape.tables[1:]:
        rows[table] = [others(number) for number in range(1, int(count * share) + 1)]
    rng.shuffle(rows[MAIN])
    return rows

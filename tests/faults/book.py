"""What the writers know: for each row what was last committed, and what may be true where no answer came."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

Row = tuple[Any, ...]
Key = Any


@dataclass
class Life:
    """One row from its insert to its end. Its key may live again later, as another Life."""

    key: Key
    versions: list[Row]  # what it may look like: more than one where a writer never heard how its statement ended
    inserted: bool = True  # False: the insert may not have happened
    removed: bool = False  # deleted by a writer, for certain
    perhaps_removed: bool = False


@dataclass
class Ledger:
    """The rows of one table, as its writers know them. Each key has one writer; read it when they rest."""

    columns: tuple[str, ...]
    lives: dict[Key, Life] = field(default_factory=dict)
    former: list[Life] = field(default_factory=list)  # purged for certain: their key was inserted again
    removed_before: list[Life] = field(default_factory=list)


class Book:
    """All tables. Every change is noted after its statement has ended; each row is changed by one thread only."""

    def __init__(self, columns: dict[str, tuple[str, ...]]) -> None:
        self.tables = {table: Ledger(names) for table, names in columns.items()}
        self._lock = threading.Lock()

    def insert(self, table: str, row: Row, *, certain: bool = True) -> None:
        with self._lock:
            ledger = self.tables[table]
            if before := ledger.lives.get(row[0]):
                (ledger.removed_before if before.removed else ledger.former).append(before)
            ledger.lives[row[0]] = Life(row[0], [row], inserted=certain)

    def update(self, table: str, row: Row, *, certain: bool = True) -> None:
        with self._lock:
            life = self.tables[table].lives[row[0]]
            life.versions = [row] if certain else [*life.versions, row]

    def delete(self, table: str, key: Key, *, certain: bool = True) -> None:
        with self._lock:
            life = self.tables[table].lives[key]
            life.removed, life.perhaps_removed = certain, not certain

    def certain(self, table: str, key: Key) -> Row | None:
        """The row as last committed, if there is no doubt about it and no writer deleted it."""
        life = self.tables[table].lives.get(key)
        if life is None or life.removed or life.perhaps_removed or not life.inserted or len(life.versions) != 1:
            return None
        return life.versions[0]

    def ever(self, table: str) -> Iterator[Row]:
        """Every row there ever was, in its last version."""
        ledger = self.tables[table]
        for life in (*ledger.lives.values(), *ledger.former, *ledger.removed_before):
            yield life.versions[-1]

"""What a backend tells about the load of its database."""

# ruff: noqa: D102 - the names of tests say what they test

from __future__ import annotations

import math
import re
from typing import Any

from purgekit import Policy, PurgekitError, _core, col
from purgekit.testing.bench import Bench

NOW_NS = 1_714_979_289_123_456_000
TABLE = "conf_pressure"


def _read(session: _core.Session) -> list[dict[str, Any]]:
    """None at all is an answer too: the engine then paces by its own chunks."""
    try:
        return session.pressure()
    except PurgekitError as error:
        assert error.code in ("not_supported", "privilege"), error
        return []


class Pressure:
    """Signals are well formed, and reading them touches nothing."""

    def test_signals_are_figures_with_names_of_their_own(self, bench: Bench) -> None:
        with bench.session() as session:
            for signals in (_read(session), _read(session)):
                names = [signal["name"] for signal in signals]
                assert len(set(names)) == len(names)
                for signal in signals:
                    assert re.fullmatch(r"[a-z][a-z0-9_]*", signal["name"]), signal
                    assert math.isfinite(signal["value"]), signal
                    assert math.isfinite(signal["limit"]), signal
                    assert signal["limit"] >= 0, signal

    def test_signals_are_read_between_chunks_and_leave_nothing_open(self, bench: Bench) -> None:
        rows = [{"ID": i, "STATE": "gone"} for i in range(1, 21)]
        bench.make(TABLE, {"ID": f"{bench.quirks.bigint} PRIMARY KEY", "STATE": bench.quirks.text}, rows)
        policy = Policy("pressure", table=TABLE, where=col("STATE") == "gone")
        q = bench.quirks.quoted
        with bench.session() as session:
            session.prepare(policy, NOW_NS, session.propose(policy, NOW_NS)[0]["id"])
            cursor = ""
            for _ in range(2):
                _read(session)
                # Whatever a reading left open would now be in the way of others, or of our own chunk.
                bench.sql(f"UPDATE {q(TABLE)} SET {q('STATE')} = 'gone' WHERE {q('ID')} = 20")
                session.begin()
                cursor = session.delete_range(cursor, 5)["cursor"]
                session.commit()
        assert bench.column(TABLE) == list(range(11, 21))

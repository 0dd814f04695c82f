"""What a plan and a run say, as thin classes over the JSON of the native engine."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from purgekit import _core
from purgekit.text import printable

if TYPE_CHECKING:
    from purgekit.planfile import PlanFile

Json = dict[str, Any]


class Plan:
    """A frozen plan: what ``run`` will do. ``to_dict`` gives ``purgekit.plan/1``."""

    def __init__(
        self,
        native: _core.Plan,
        extra_warnings: list[list[Json]] | None = None,
        *,
        max_fraction: float | None = None,
        accept_clock: bool = False,
        archive: str | None = None,
        file: PlanFile | None = None,
    ) -> None:
        self.native = native
        self.max_fraction = max_fraction
        self.accept_clock = accept_clock
        self.archive = archive
        self.file = file
        self._json: Json = json.loads(native.to_json())
        for entry, warnings in zip(self.policies, extra_warnings or [], strict=False):
            entry.setdefault("warnings", []).extend(warnings)

    def to_dict(self) -> Json:
        """The plan as plain values."""
        copy: Json = json.loads(json.dumps(self._json))
        return copy

    def save(self, path: str | os.PathLike[str]) -> PlanFile:
        """Write it to a file that ``load_plan`` reads and ``Database.run`` takes; it must be ``exact``."""
        from purgekit.planfile import save_plan

        return save_plan(self, path)

    @property
    def database(self) -> Json:
        """Backend, server version, clock."""
        found: Json = self._json.get("database", {})
        return found

    @property
    def policies(self) -> list[Json]:
        """One entry for each policy."""
        found: list[Json] = self._json["policies"]
        return found

    @property
    def rows_purgeable(self) -> int:
        """Rows of the policies' own tables that may go now."""
        return sum(entry["rows_purgeable"] or 0 for entry in self.policies)

    @property
    def exact(self) -> bool:
        """Whether every figure was counted rather than estimated."""
        return all(entry["exact"] for entry in self.policies)

    @property
    def warnings(self) -> list[Json]:
        """All warnings, each with ``code`` and ``message``."""
        return [warning for entry in self.policies for warning in entry.get("warnings", [])]

    def __repr__(self) -> str:
        names = ", ".join(entry["policy"] for entry in self.policies)
        about = "" if self.exact else "about "
        return f"<Plan {printable(names)}: {about}{self.rows_purgeable:,} rows purgeable>"

    def _repr_html_(self) -> str:
        from purgekit.views import plan_html

        return plan_html(self._json)


class Outcome:
    """What a run or a restore did, as far as both tell the same."""

    def __init__(self, document: Json) -> None:
        self._json = document

    def to_dict(self) -> Json:
        """The report as plain values."""
        copy: Json = json.loads(json.dumps(self._json))
        return copy

    @property
    def run_id(self) -> str:
        """Name of the run; sorts by time."""
        return str(self._json["run_id"])

    @property
    def status(self) -> str:
        """``completed``, ``stopped`` or ``failed``."""
        return str(self._json["status"])

    @property
    def stop_reason(self) -> str | None:
        """What ended it early."""
        found: str | None = self._json.get("stop_reason")
        return found

    @property
    def exit_code(self) -> int:
        """What the command line exits with."""
        return int(self._json["exit_code"])

    @property
    def error(self) -> Json | None:
        """What failed, when ``status`` is ``failed``."""
        found: Json | None = self._json.get("error")
        return found


class Report(Outcome):
    """What a run did. ``to_dict`` gives ``purgekit.run/1``."""

    @property
    def continues(self) -> str | None:
        """The interrupted run that this one went on with."""
        found: str | None = self._json.get("continues")
        return found

    @property
    def rows_deleted(self) -> int:
        """Rows of all tables."""
        return int(self._json["rows_deleted"])

    @property
    def rows_archived(self) -> int:
        """Rows of all tables that were kept elsewhere."""
        return int(self._json.get("rows_archived", 0))

    @property
    def elapsed_s(self) -> float:
        """From the first chunk to the last."""
        return float(self._json["elapsed_s"])

    @property
    def policies(self) -> list[Json]:
        """One entry for each policy."""
        found: list[Json] = self._json["policies"]
        return found

    @property
    def evidence(self) -> Json | None:
        """What the run's evidence comes down to: ``root``, ``key_id``, ``links``, and ``policies`` with their heads."""
        found: Json | None = self._json.get("evidence")
        return found

    @property
    def flight(self) -> str | None:
        """Path of the flight record, when the run failed or was fenced out."""
        found: str | None = self._json.get("flight")
        return found

    @property
    def failure(self) -> str:
        """For people: what failed, what was done, what is safe, how to go on, where to look."""
        unknown = "the run failed part-way; run the same command again to go on"
        message = str((self.error or {}).get("message") or unknown)
        return message + (f"; flight record: {self.flight}" if self.flight else "")

    def __repr__(self) -> str:
        why = f" ({self.stop_reason})" if self.stop_reason else ""
        return f"<Report {printable(self.run_id)}: {self.status}{printable(why)}, {self.rows_deleted:,} rows deleted>"

    def _repr_html_(self) -> str:
        from purgekit.views import report_html

        return report_html(self._json)

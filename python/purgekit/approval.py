"""Approvals: who said yes to which plan file.

An approval is bound to the plan's hash, so that it is of no use for any other plan. It is as trustworthy as the folder
that it lies in; it is no signature.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from purgekit._core import Policy, distrust
from purgekit.errors import PurgeRefused
from purgekit.sealed import Kind, read_sealed, write_sealed
from purgekit.state import now_utc
from purgekit.text import printable

if TYPE_CHECKING:
    from purgekit.planfile import PlanFile

_log = logging.getLogger("purgekit")

KIND = Kind("purgekit.approval/1", "approval", "approval")
LONGEST_NAME = 200


@dataclass(frozen=True)
class Approval:
    """Somebody's yes.

    Attributes:
        by: whoever gave it, as they wrote it.
        approved_utc: when, by the clock of the machine on which it was given.
        plan: hash of the plan file that it is for.
        hash: of the approval itself.
    """

    by: str
    approved_utc: str
    plan: str
    hash: str


def approval_path(plan_path: Path) -> Path:
    """Beside the plan: ``FILE.approval.json``."""
    return plan_path.with_name(f"{plan_path.name}.approval.json")


def approve(file: PlanFile, by: str) -> Approval:
    """Write that ``by`` approves of the plan file, beside it. An approval of an earlier plan there is replaced."""
    name = by.strip()
    if not _is_name(name):
        raise PurgeRefused(
            f"an approval needs the name of whoever gives it, at most {LONGEST_NAME} printable characters: --by NAME",
            code="approval",
        )
    path = approval_path(file.path)
    if os.path.lexists(path):
        try:
            earlier = _read(path, file.hash)
        except PurgeRefused as error:
            _log.info("an approval that does not fit is replaced: %s", error)
        else:
            raise PurgeRefused(
                f"{printable(file.path)} is approved already, by {earlier.by} at {earlier.approved_utc}; to take that "
                f"back remove {printable(path)}",
                code="approval",
            )
    document = {"schema": KIND.schema, "plan": file.hash, "by": name, "approved_utc": now_utc()}
    written = write_sealed(path, document, KIND)
    return Approval(name, document["approved_utc"], file.hash, written["hash"])


def find_approval(file: PlanFile) -> Approval | None:
    """The approval beside a plan file; None when there is none. PurgeRefused when it can't be one of this plan."""
    path = approval_path(file.path)
    if not os.path.lexists(path):
        return None
    approval = _read(path, file.hash)
    if doubt := distrust(str(path), is_code=False):
        _log.warning("approval %s says what may be deleted, and %s", printable(path), doubt)
    return approval


def approval_warning(policy: Policy) -> list[dict[str, str]]:
    """For the plan of a policy that demands one."""
    if not policy.approval:
        return []
    steps = "plan --out FILE, plan --approve FILE --by NAME, run URL --plan FILE"
    return [{"code": "approval_required", "message": f"it runs only as an approved plan file: {steps}"}]


def require_approval(policies: Sequence[Policy], file: PlanFile | None) -> None:
    """Refuse policies that demand an approval, unless they come from a plan file that has one."""
    approval = file.approval if file is not None else None  # one that does not fit is refused, demanded or not
    demanding = next((policy for policy in policies if policy.approval), None)
    if demanding is None or approval is not None:
        return
    if file is None:
        way_out = (
            "make a plan file (plan --out FILE), have it approved (plan --approve FILE --by NAME) and run that "
            "(run URL --plan FILE)"
        )
    else:
        way_out = f"have it approved: purgekit plan --approve {printable(file.path)} --by NAME"
    raise PurgeRefused(
        f"policy {printable(demanding.name)} runs only with an approval, and there is none; {way_out}",
        code="approval",
        policy=demanding.name,
        table=demanding.table,
    )


def _read(path: Path, plan_hash: str) -> Approval:
    document = read_sealed(path, KIND)
    by, when, plan = (document.get(key) for key in ("by", "approved_utc", "plan"))
    if not isinstance(by, str) or not _is_name(by) or not isinstance(when, str) or not isinstance(plan, str):
        KIND.refuse(path, "does not say who gave it, when and for which plan; have the plan approved anew")
    if plan != plan_hash:
        KIND.refuse(
            path, f"is of another plan ({printable(plan[:19])}…, not {plan_hash[:19]}…); have this one approved"
        )
    return Approval(by, printable(when), plan, document["hash"])


def _is_name(name: str) -> bool:
    return 0 < len(name) <= LONGEST_NAME and name == name.strip() and name.isprintable()

"""What a pack has to say about the rows of a database."""

from __future__ import annotations

import logging

from purgekit._core import Connection, Policy
from purgekit.errors import PolicyError
from purgekit.packs import advice_for
from purgekit.report import Json, Plan
from purgekit.text import printable

_log = logging.getLogger("purgekit")


def pack_warnings(connection: Connection, policy: Policy, options: Json) -> list[Json]:
    """Warnings that the policy's pack has about part of the purgeable rows, counted by a plan of their own."""
    warnings = []
    for advice in advice_for(policy):
        part = Policy(
            policy.name,
            table=policy.table,
            where=advice.where if advice.of_all else policy.where & advice.where,
            grace=policy.grace_ns,
            dependents=policy.dependents,
            max_fraction=1.0,
            optional=policy.optional,
        )
        try:
            entry = Plan(connection.plan([part], **{**options, "archive": None})).policies[0]
        except PolicyError as error:  # an older schema without the column that the advice is about
            _log.info("advice %s left out: %s", advice.code, printable(error))
            continue
        if entry["rows_purgeable"]:
            rows = f"{'' if entry['exact'] else 'about '}{entry['rows_purgeable']:,}"
            warnings.append({"code": advice.code, "message": advice.message.format(rows=rows)})
    return warnings

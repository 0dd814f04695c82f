"""The registry of API Manager on every database: its log, expired codes, and what nothing refers to."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import purgekit as pk
from engine.wso2_tables import DAY_S, GRACE_S, NOW, Tables, at
from servers import Connection

CODES = "/_system/config/repository/components/org.wso2.carbon.identity.mgt/data"
REGISTRY = (
    "REG_PATH",
    "REG_CONTENT",
    "REG_RESOURCE",
    "REG_RESOURCE_HISTORY",
    "REG_PROPERTY",
    "REG_RESOURCE_PROPERTY",
    "REG_TAG",
    "REG_RESOURCE_TAG",
)


def entries() -> list[dict[str, Any]]:
    random_ = random.Random(2)
    rows = []
    for number in range(300):
        rows.append(
            {
                "REG_LOG_ID": number,
                "REG_PATH": random_.choice("abcdefghij") * 3,
                "REG_TENANT_ID": random_.choice([-1234, 1]),
                "REG_ACTION": random_.choice([0, 1, 1, 7]),
                "REG_LOGGED_TIME": -3 * DAY_S + number * 600,
            }
        )
    return rows


def test_the_newest_entry_of_each_path_stays(any_url: str, admin: Callable[[str], Connection]) -> None:
    rows = entries()
    tables = Tables(any_url, admin(any_url))
    tables.make("REG_LOG")
    tables.fill("REG_LOG", [{**row, "REG_LOGGED_TIME": at(row["REG_LOGGED_TIME"])} for row in rows])

    def stays(row: dict[str, Any], there: list[dict[str, Any]]) -> bool:
        same = [r for r in there if (r["REG_PATH"], r["REG_TENANT_ID"]) == (row["REG_PATH"], row["REG_TENANT_ID"])]
        if row["REG_LOGGED_TIME"] + DAY_S + GRACE_S >= 0:
            return True
        newest = max(r["REG_LOG_ID"] for r in same)
        return bool(row["REG_LOG_ID"] == newest and row["REG_ACTION"] != 7)

    left = [row["REG_LOG_ID"] for row in rows if stays(row, rows)]
    assert 20 < len(left) < 280
    with pk.connect(any_url) as db:
        report = db.run(db.plan(pk.load_policies("wso2-apim/registry-log"), now=NOW), limits=pk.Limits(chunk_ms=1))
    assert report.exit_code == 0
    assert sorted(tables.column("REG_LOG", "REG_LOG_ID")) == left


def fill(tables: Tables) -> None:
    """Resources 1 (expired code), 2 (live code), 3 (elsewhere), 4 (current, with version 5 in its history)."""
    past, ahead = str((int(time.time()) - 5 * 3_600) * 1_000), str((int(time.time()) + 3_600) * 1_000)
    tables.fill("REG_PATH", [{"REG_PATH_ID": 1, "REG_PATH_VALUE": CODES}, {"REG_PATH_ID": 2, "REG_PATH_VALUE": "/x"}])
    tables.fill("REG_CONTENT", [{"REG_CONTENT_ID": n} for n in (1, 2, 3, 9)])
    tables.fill(
        "REG_RESOURCE",
        [
            {"REG_PATH_ID": path, "REG_NAME": f"r{version}", "REG_VERSION": version, "REG_CONTENT_ID": content}
            for version, path, content in ((1, 1, 1), (2, 1, None), (3, 2, 2), (4, 2, None))
        ],
    )
    tables.fill("REG_RESOURCE_HISTORY", [{"REG_PATH_ID": 2, "REG_VERSION": 5, "REG_CONTENT_ID": 3}])
    properties = [
        (1, "expireTime", past),
        (2, "expireTime", ahead),
        (3, "expireTime", past),
        (4, "color", "red"),
        (5, "color", "red"),
        (6, "color", "of no version"),
        (7, "color", "of nobody"),
        (8, "expireTime", "soon"),
        (9, "color", "by path"),
    ]
    tables.fill("REG_PROPERTY", [{"REG_ID": i, "REG_NAME": name, "REG_VALUE": value} for i, name, value in properties])
    links = ((1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 66), (8, 2), (9, 0))
    tables.fill("REG_RESOURCE_PROPERTY", [{"REG_PROPERTY_ID": p, "REG_VERSION": v} for p, v in links])
    tables.fill("REG_TAG", [{"REG_ID": n, "REG_TAG_NAME": f"t{n}"} for n in (1, 2, 3)])
    tables.fill("REG_RESOURCE_TAG", [{"REG_TAG_ID": 1, "REG_VERSION": 5}, {"REG_TAG_ID": 2, "REG_VERSION": 66}])


def test_expired_codes_and_then_what_nothing_refers_to(any_url: str, admin: Callable[[str], Connection]) -> None:
    tables = Tables(any_url, admin(any_url))
    tables.make(*REGISTRY)
    fill(tables)
    with pk.connect(any_url) as db:
        report = db.run(db.plan(pk.load_policies("wso2-apim/registry-codes")))
        assert report.exit_code == 0
        assert tables.column("REG_RESOURCE", "REG_VERSION") == [2, 3, 4]
        assert tables.column("REG_RESOURCE_PROPERTY", "REG_PROPERTY_ID") == [2, 3, 4, 5, 6, 8, 9]
        report = db.run(db.plan(pk.load_policies("wso2-apim/registry-orphans")))
    assert report.exit_code == 0
    assert tables.column("REG_RESOURCE_PROPERTY", "REG_PROPERTY_ID") == [2, 3, 4, 5, 8, 9], "5: the history's"
    assert tables.column("REG_PROPERTY", "REG_ID") == [2, 3, 4, 5, 8, 9]
    assert tables.column("REG_RESOURCE_TAG", "REG_TAG_ID") == [1]
    assert tables.column("REG_TAG", "REG_ID") == [1]
    assert tables.column("REG_CONTENT", "REG_CONTENT_ID") == [2, 3], "3: the history's"

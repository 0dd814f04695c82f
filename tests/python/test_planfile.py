"""Plan files and approvals as files: whatever is wrong with one is found out, in one line, and nothing is changed."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import purgekit as pk
from command import purgekit
from purgekit.approval import approval_path, approve
from purgekit.cli import app
from purgekit.planfile import KIND, save_plan
from purgekit.sealed import digest, seal, write_sealed
from purgekit.text import is_file

RULE = 'expired = { column = "expires", unit = "s" }\n'
POLICY = f'[[policy]]\nname = "old"\ntable = "things"\n{RULE}'


def left(url: str) -> int:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as db:
        return int(db.execute("SELECT count(*) FROM things").fetchone()[0])


@pytest.fixture
def database(tmp_path: Path) -> str:
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER)")
        db.executemany("INSERT INTO things VALUES (?, ?)", [(i, 10**9 if i % 4 else 2**42) for i in range(1, 101)])
        db.commit()
    return f"sqlite:///{path}"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    path = tmp_path / "policies.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def plan(database: str, toml: Path, tmp_path: Path) -> Iterator[Path]:
    """A plan file as the command line makes it. Whatever a test does with it, no row goes."""
    path = tmp_path / "plan.json"
    with pk.connect(database) as db:
        save_plan(db.plan(pk.load_policies(toml), exact=True), path, [str(toml)])
    yield path
    assert left(database) == 100


def refused(path: Path) -> str:
    with pytest.raises(pk.PurgeRefused) as caught:
        pk.load_plan(path)
    message = str(caught.value)
    assert caught.value.code == "plan_file"
    assert path.name in message
    assert "\n" not in message
    return message


def resealed(path: Path, change: Callable[[Any], object]) -> None:
    """As somebody would who knows how the hash is made."""
    document = json.loads(path.read_text())
    change(document)
    path.write_bytes(seal(document))


def test_what_is_in_it(plan: Path, toml: Path, database: str) -> None:
    document = json.loads(plan.read_text())
    assert document["schema"] == "purgekit.planfile/1"
    assert document["hash"] == digest(document)
    assert document["sources"] == {"specs": [str(toml)], "params": {}}
    (entry,) = document["policies"]
    assert (entry["policy"], entry["rows_total"], entry["rows_purgeable"]) == ("old", 100, 75)
    assert entry["source"]["table"] == "things"
    assert "sample" not in entry
    file = pk.load_plan(plan)
    assert (file.hash, file.rows_purgeable, file.approval) == (document["hash"], 75, None)
    assert file.policies == pk.load_policies(toml)
    assert file.to_dict() == document
    assert plan.stat().st_mode & 0o022 == 0


def test_one_byte_changed_anywhere(plan: Path) -> None:
    text = plan.read_bytes()
    for at in range(len(text)):
        for other in (text[at] ^ 1, *(b"\t " if text[at] in b" \n" else b"")):
            if other != text[at]:
                plan.write_bytes(text[:at] + bytes([other]) + text[at + 1 :])
                refused(plan)
    plan.write_bytes(text + b"\n")
    refused(plan)
    plan.write_bytes(text)
    pk.load_plan(plan)


def test_cut_off_anywhere(plan: Path) -> None:
    text = plan.read_bytes()
    for length in (*range(0, len(text), 37), len(text) - 1):
        plan.write_bytes(text[:length])
        refused(plan)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (b"", "cut off"),
        (b"null", "cut off"),
        (b"[" * 100_000, "cut off"),
        (b'{"schema": "purgekit.planfile/2"}', "newer version"),
        (b'{"schema": "purgekit.planfile/1"}', "hash"),
        (b'{"schema": "purgekit.approval/1"}', "no plan file"),
        (b'{"schema": 7}', "no plan file"),
        (b'{"a": 1}', "no plan file"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "cut off"),
        (b"\xff\xfe", "cut off"),
        (b" " * (17 * 1024 * 1024), "too large"),
    ],
    ids=range(11),
)
def test_what_is_none(tmp_path: Path, text: bytes, part: str) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(text)
    assert part in refused(path)


def test_what_can_not_be_read(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "absent")
    assert "not a file" in refused(tmp_path)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert "not a file" in refused(pipe)
    assert "can't be read" in refused(tmp_path / ("x" * 300))


def _drop(key: str) -> Callable[[Any], object]:
    return lambda document: document.pop(key)


def _put(value: object, *keys: str | int) -> Callable[[Any], object]:
    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


CONTENT = [
    *(_drop(key) for key in ("database", "identity", "now_utc", "options", "sources", "policies")),
    _put([], "policies"),
    _put([3], "policies"),
    _put("x", "policies", 0, "rows_purgeable"),
    _put(True, "policies", 0, "rows_purgeable"),
    _put(None, "policies", 0, "fingerprint"),
    _put([3], "policies", 0, "warnings"),
    _put("yesterday", "now_utc"),
    _put("yesterday", "database", "clock_utc"),
    _put({"archive": None}, "options"),
    _put("half", "options", "max_fraction"),
    _put({"specs": [3], "params": {}}, "sources"),
    _put("other", "policies", 0, "policy"),
    _put({"name": "old", "table": "things"}, "policies", 0, "source"),
    _put("others", "policies", 0, "source", "table"),
    _put("1s", "policies", 0, "source", "grace"),
    _put("x", "policies", 0, "source", "nonsense"),
]


@pytest.mark.parametrize("change", CONTENT, ids=range(len(CONTENT)))
def test_a_hash_that_fits_does_not_make_it_right(plan: Path, change: Callable[[Any], object]) -> None:
    resealed(plan, change)
    refused(plan)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(place=st.lists(st.integers(0, 20), min_size=1, max_size=4), value=JSON)
def test_any_value_in_any_place(tmp_path_factory: pytest.TempPathFactory, place: list[int], value: object) -> None:
    """Loads, or is refused in one line: nothing else comes out."""
    document = json.loads(json.dumps(_made(tmp_path_factory)))
    at: Any = document
    for number in place[:-1]:
        keys = list(at) if isinstance(at, dict) else list(range(len(at))) if isinstance(at, list) else []
        if not keys:
            break
        inner = at[keys[number % len(keys)]]
        if not isinstance(inner, (dict, list)) or not inner:
            break
        at = inner
    keys = list(at) if isinstance(at, dict) else list(range(len(at)))
    at[keys[place[-1] % len(keys)]] = value
    path = tmp_path_factory.getbasetemp() / "any-value.json"
    path.write_bytes(seal(document))
    try:
        pk.load_plan(path)
    except pk.PurgeRefused as error:
        assert "\n" not in str(error)


_document: dict[str, Any] = {}


def _made(factory: pytest.TempPathFactory) -> dict[str, Any]:
    if not _document:
        folder = factory.mktemp("made")
        with closing(sqlite3.connect(folder / "app.db")) as db:
            db.execute("CREATE TABLE things (id INTEGER PRIMARY KEY, expires INTEGER)")
        policy = pk.Policy("old", table="things", where=pk.expired("expires", unit="s"))
        with pk.connect(f"sqlite:///{folder / 'app.db'}") as db_:
            _document.update(db_.plan(policy, archive="table").save(folder / "plan.json").to_dict())
    return _document


def test_a_file_of_somebody_else_is_not_overwritten(
    database: str, toml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for out in (toml, tmp_path, tmp_path / "app.db", tmp_path / "absent" / "plan.json", tmp_path / ("x" * 300)):
        before = out.read_bytes() if is_file(str(out)) else None
        code = app.run(["plan", database, str(toml), "--out", str(out)])
        told = capsys.readouterr().err
        assert (code, told.count("\n")) == (2, 1), told
        assert out.name in told
        assert before is None or out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".part")) == []


def test_an_earlier_plan_is(plan: Path, database: str, toml: Path) -> None:
    first = pk.load_plan(plan).hash
    assert purgekit("plan", database, str(toml), "--out", str(plan)).returncode == 0
    assert pk.load_plan(plan).hash != first


def test_policies_that_have_changed_where_they_came_from(plan: Path, database: str, toml: Path) -> None:
    toml.write_text(f"# only a remark\n{POLICY}")
    with pk.connect(database) as db:
        assert db.renew(pk.load_plan(plan)).rows_purgeable == 75
        for text, part in (
            (POLICY + 'grace = "3h"\n', "was changed"),
            (POLICY.replace("old", "new"), "was changed"),
            ("[[polcy]]", "can't be loaded any more"),
        ):
            toml.write_text(text)
            with pytest.raises(pk.PurgeRefused, match=part) as caught:
                db.renew(pk.load_plan(plan))
            assert caught.value.code == "plan_changed"
        toml.unlink()
        assert db.renew(pk.load_plan(plan)).rows_purgeable == 75


USAGE = [
    (["run", "{db}", "{toml}", "--plan", "{plan}", "--yes"], "POLICY"),
    (["run", "{db}", "--plan", "{plan}", "--param", "a=b", "--yes"], "--param"),
    (["run", "{db}", "--plan", "{plan}", "--now", "2020-01-01T00:00:00Z", "--yes"], "--now"),
    (["run", "{db}", "--plan", "{plan}", "--archive", "table", "--yes"], "--archive"),
    (["run", "{db}", "--yes"], "POLICY"),
    (["run", "{db}", "--plan", "{plan}", "--max-plan-age", "0s", "--yes"], "max-plan-age"),
    (["run", "{db}", "--plan", "{plan}", "--max-plan-age", "old", "--yes"], "max_plan_age"),
    (["run", "{db}", "--plan", "{plan}", "--within", "half", "--yes"], "half"),
    (["run", "{db}", "--plan", "{toml}", "--yes"], "policies.toml"),
    (["run", "{db}", "--plan", "{plan}x", "--yes"], "No such file"),
    (["plan", "--approve", "{plan}"], "--by"),
    (["plan", "--approve", "{plan}", "--by", ""], "--by"),
    (["plan", "--approve", "{plan}", "--by", "  "], "--by"),
    (["plan", "--approve", "{plan}", "--by", "a\x1b[2Jb"], "--by"),
    (["plan", "--approve", "{plan}", "--by", "x" * 201], "--by"),
    (["plan", "--approve", "{toml}", "--by", "Ada"], "policies.toml"),
    (["plan", "{db}", "--approve", "{plan}", "--by", "Ada"], "leave out"),
    (["plan", "{db}", "{toml}", "--by", "Ada"], "--approve"),
    (["plan", "{db}", "{toml}", "--unmask"], "--sample"),
    (["plan", "{db}", "{toml}", "--sample", "101"], "--sample"),
    (["plan"], "URL"),
]


@pytest.mark.parametrize(("arguments", "part"), USAGE, ids=[" ".join(a)[:50] for a, _ in USAGE])
def test_words_that_do_not_go_together(
    database: str, toml: Path, plan: Path, arguments: list[str], part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = {"{db}": database, "{toml}": str(toml), "{plan}": str(plan)}
    filled = [arguments[0]]
    for argument in arguments[1:]:
        for mark, value in places.items():
            argument = argument.replace(mark, value)
        filled.append(argument)
    code = app.run(filled)
    told = capsys.readouterr()
    assert (code, told.err.count("\n"), told.out) == (2, 1, ""), told.err
    assert part in told.err
    assert not approval_path(plan).exists()
    assert app.run([*filled, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


# Approvals


@pytest.fixture
def demanding(database: str, toml: Path, tmp_path: Path) -> Iterator[pk.PlanFile]:
    """A plan file of a policy that runs only when somebody has approved. No row goes."""
    toml.write_text(f'{POLICY}approval = "required"\n')
    (policy,) = pk.load_policies(toml)
    with pk.connect(database) as db:
        yield db.plan(policy, exact=True).save(tmp_path / "plan.json")
    assert left(database) == 100


def not_approved(database: str, path: Path) -> str:
    with pk.connect(database) as db, pytest.raises(pk.PurgeRefused) as caught:
        db.run(pk.load_plan(path))
    assert caught.value.code == "approval"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_one(database: str, demanding: pk.PlanFile) -> None:
    assert "--approve" in not_approved(database, demanding.path)
    with pk.connect(database) as db:
        assert "approval_required" in [warning["code"] for warning in db.plan(demanding.policies).warnings]
        for plan in (demanding.policies, db.plan(demanding.policies)):
            with pytest.raises(pk.PurgeRefused, match="runs only with an approval") as caught:
                db.run(plan)
            assert (caught.value.code, caught.value.policy, caught.value.table) == ("approval", "old", "things")


def test_of_another_plan(database: str, demanding: pk.PlanFile, tmp_path: Path) -> None:
    with pk.connect(database) as db:
        other = db.plan(demanding.policies, now="2026-01-01T00:00:00Z", exact=True).save(tmp_path / "other.json")
    approve(other, "Ada")
    approval_path(other.path).rename(approval_path(demanding.path))
    assert "another plan" in not_approved(database, demanding.path)
    approve(demanding, "Grace")
    assert pk.load_plan(demanding.path).approval is not None
    with pytest.raises(pk.PurgeRefused, match="approved already, by Grace"):
        approve(demanding, "Ada")


@pytest.mark.parametrize(
    "content",
    [
        {"by": ""},
        {"by": " "},
        {"by": None},
        {"by": "x" * 201},
        {"by": "a\nb"},
        {"by": "Ada", "plan": 7},
        {"by": "Ada", "approved_utc": None},
        {"by": "Ada", "schema": "purgekit.approval/2"},
        {"by": "Ada", "schema": "purgekit.planfile/1"},
    ],
    ids=str,
)
def test_that_says_nothing(database: str, demanding: pk.PlanFile, content: dict[str, object]) -> None:
    whole = {"schema": "purgekit.approval/1", "plan": demanding.hash, "approved_utc": "2026-01-01T00:00:00Z"}
    approval_path(demanding.path).write_bytes(seal({**whole, **content}))
    not_approved(database, demanding.path)


def test_with_one_byte_changed(demanding: pk.PlanFile) -> None:
    approve(demanding, "Ada")
    path = approval_path(demanding.path)
    text = path.read_bytes()
    for at in range(len(text)):
        path.write_bytes(text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :])
        with pytest.raises(pk.PurgeRefused):
            _ = pk.load_plan(demanding.path).approval
    path.unlink()
    path.mkdir()
    with pytest.raises(pk.PurgeRefused, match="not a file"):
        _ = pk.load_plan(demanding.path).approval
    with pytest.raises(pk.PurgeRefused, match="is not written"):
        approve(demanding, "Ada")


def test_a_bad_one_beside_a_plan_that_needs_none(database: str, plan: Path) -> None:
    approval_path(plan).write_text("{}")
    assert "no approval" in not_approved(database, plan)


def test_that_anybody_could_have_written(
    database: str, demanding: pk.PlanFile, caplog: pytest.LogCaptureFixture
) -> None:
    approve(demanding, "Ada")
    path = approval_path(demanding.path)
    assert path.stat().st_mode & 0o022 == 0
    path.chmod(0o666)
    demanding.path.chmod(0o666)
    approval = pk.load_plan(demanding.path).approval
    assert approval is not None
    assert approval.by == "Ada"
    told = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [message.split()[0] for message in told] == ["plan", "approval"]
    assert all("chmod o-w" in message for message in told)


def test_raw_sql_that_anybody_could_have_written(database: str, tmp_path: Path) -> None:
    policy = pk.Policy("raw", table="things", where=pk.sql("id < :n", n=5))
    with pk.connect(database) as db:
        file = db.plan(policy, exact=True).save(tmp_path / "plan.json")
        assert db.renew(pk.load_plan(file.path)).rows_purgeable == 4
    file.path.chmod(0o666)
    assert "trusted like code" in refused(file.path)


def test_only_files_of_its_kind_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"schema": "other/1"}')
    with pytest.raises(pk.PurgeRefused, match="no plan file"):
        write_sealed(path, {"schema": KIND.schema}, KIND)
    path.write_text('{"schema": "purgekit.planfile/1", "damaged": true}')
    write_sealed(path, {"schema": KIND.schema, "n": 1}, KIND)
    assert json.loads(path.read_text())["n"] == 1

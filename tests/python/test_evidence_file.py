"""``purgekit evidence verify`` on files made here, by hand: every change is found, and no text makes it fall over."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purgekit as pk
from purgekit.evidence import Verdict, verify
from purgekit.evidence.keys import Key, find_key

KEY = b"0123456789abcdef0123456789abcdef"
KEY_ID = hashlib.sha256(b"purgekit evidence key" + KEY).hexdigest()[:16]
RUN = "20261122T101112345Z-3f9a2c"
NOW = "2026-11-22T10:11:12.345Z"
Json = dict[str, Any]


def text(document: Json) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def chain(ordinal: int = 0, chunks: int = 3, *, first: int = 1, prev: str | None = None, **start: Any) -> list[Json]:
    """The links of one policy, with hashes that join."""
    documents: list[Json] = [
        {
            "kind": "start", "schema": "purgekit.evidence/1", "policy": f"p{ordinal}", "tables": [f"T{ordinal}", "C"],
            "policy_sha256": "x", "cutoff_utc": NOW, "backend": "sqlite", "database": "größe.db", "archive": "none",
            "started_utc": NOW, "after": None, "continues": None, "plan_sha256": None, "approval_sha256": None,
            "key_id": KEY_ID, "holds": 0, "retention_s": 0, **start,
        },
        *(
            {"kind": "chunk", "chunk": n, "pass": 1, "rows_deleted": [10, n], "rows_archived": [0, 0], "at_utc": NOW,
             "range_hmac": sha(str(n))}
            for n in range(chunks)
        ),
        {
            "kind": "end", "chunks": chunks, "holds": 0, "rows_deleted": [10 * chunks, sum(range(chunks))],
            "rows_archived": [0, 0], "status": "completed", "stop_reason": None, "finished_utc": NOW,
        },
    ]  # fmt: skip
    for number, document in enumerate(documents, first):
        document |= {"run_id": RUN, "ordinal": ordinal, "number": number, "prev": prev}
        if document["kind"] == "end":
            document["hmac"] = hmac.new(KEY, text(document).encode(), hashlib.sha256).hexdigest()
        prev = sha(text(document))
    return documents


def file_of(path: Path, *chains: list[Json]) -> Path:
    """As ``evidence export`` writes them."""
    links = [link for one in chains for link in one]
    header: Json = {
        "schema": "purgekit.evidence/1", "run_id": RUN, "purgekit": "1", "exported_utc": NOW, "links": len(links),
        "database": {"backend": "sqlite", "name": "größe.db"},
        "root": sha("".join(sha(text(one[-1])) for one in chains if one)),
    }  # fmt: skip
    header["hash"] = sha(text(header))
    lines = [text(header), *(text({"hash": sha(text(link)), "link": link}) for link in links)]
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def root(*chains: list[Json]) -> str:
    return sha("".join(sha(text(one[-1])) for one in chains))


def found(path: Path, **how: Any) -> str:
    """What is wrong with it, or why it is refused."""
    try:
        return verify(path, **how).problem
    except pk.EvidenceError as error:
        return error.message


def test_what_is_intact(tmp_path: Path) -> None:
    two = (chain(0), chain(1, 0))
    path = file_of(tmp_path / "e", *two)
    verdict = verify(path, root=root(*two).upper(), key=KEY)
    assert verdict.is_intact, verdict.problem
    assert (verdict.run_id, verdict.links, verdict.rows_deleted) == (RUN, 7, 33)
    assert [policy["status"] for policy in verdict.policies] == ["completed", "completed"]
    assert "had the key" in "; ".join(verdict.checked)
    plain = verify(path)
    assert "--root" in "; ".join(plain.unchecked)
    assert "--key" in "; ".join(plain.unchecked)
    assert json.loads(json.dumps(plain.to_dict()))["ok"] is True


def test_one_byte_changed_anywhere_is_found(tmp_path: Path) -> None:
    path = file_of(tmp_path / "e", chain(0, 1))
    whole = path.read_bytes()
    for position in range(len(whole)):
        for flip in (1, 0x20, 0x80):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :])
            assert found(path), f"byte {position}, ^{flip}"
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert found(path), f"cut at {length}"
    path.write_bytes(whole + b"\n")
    assert found(path)


def test_lines_taken_away_moved_doubled_or_added_are_found(tmp_path: Path) -> None:
    path = file_of(tmp_path / "e", chain(0), chain(1))
    lines = path.read_text().splitlines()
    for number in range(1, len(lines)):
        for changed in (
            lines[:number] + lines[number + 1 :],
            lines[: number + 1] + lines[number:],
            lines[:number] + lines[number + 1 :] + [lines[number]] if number + 1 < len(lines) else lines[:number],
            [*lines[: number - 1], lines[number], lines[number - 1], *lines[number + 1 :]],
        ):
            path.write_text("".join(f"{line}\n" for line in changed))
            assert found(path), f"line {number + 1}"
    path.write_text("".join(f"{line}\n" for line in [lines[0], *lines[6:], *lines[1:6]]))
    assert found(path), "the policies in another order"


def edited(change: Callable[[list[Json]], object]) -> list[Json]:
    """A chain that was changed, and joined anew by somebody without the key."""
    links = chain()
    change(links)
    prev = links[0]["prev"]
    for number, link in enumerate(links, links[0]["number"]):
        link |= {"prev": prev, "number": number}
        prev = sha(text(link))
    return links


WRONG: dict[str, tuple[Callable[[list[Json]], object], str]] = {
    "fewer rows": (lambda links: links[1]["rows_deleted"].__setitem__(0, 9), "other totals than its chunks together"),
    "a chunk less": (lambda links: links.pop(2), "other totals"),
    "another run's": (lambda links: links[2].update(run_id="other"), "is of another run"),
    "a member more": (lambda links: links[2].update(more=1), "has what none has"),
    "a member less": (lambda links: links[2].pop("pass"), "lacks what a link has"),
    "a fraction": (lambda links: links[2].update({"pass": 1.5}), "is no JSON"),
    "a huge number": (lambda links: links[2].update({"pass": 10**30}), "is no JSON"),
    "a negative one": (lambda links: links[2].update({"pass": -1}), "lacks"),
    "a truth": (lambda links: links[2].update({"pass": True}), "lacks"),
    "no kind": (lambda links: links[2].update(kind="bite"), "lacks"),
    "two starts": (lambda links: links.insert(2, dict(links[0])), "second start"),
    "no start": (lambda links: links.pop(0), "before the start"),
    "behind the end": (lambda links: links.append(dict(links[1])), "behind the end"),
    "other tables": (lambda links: links[1].update(rows_deleted=[1], rows_archived=[1]), "other tables"),
    "files of none": (
        lambda links: links[1].update(
            files=[{"table": 9, "rows": 1, "file_bytes": 1, "sha256": "a" * 64, "file_sha256": "b" * 64}]
        ),
        "does not name",
    ),
    "another version": (lambda links: links[0].update(schema="purgekit.evidence/2"), "another version"),
    "no chain before": (lambda links: links[0].update(after="x"), "what it goes on from"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_chain_that_was_made_up(tmp_path: Path, name: str) -> None:
    change, problem = WRONG[name]
    assert problem in found(file_of(tmp_path / "e", edited(change)))


def test_a_chain_made_anew_is_found_by_root_and_by_key(tmp_path: Path) -> None:
    def less(links: list[Json]) -> None:
        links[1]["rows_deleted"] = [9, 0]
        links[-1]["rows_deleted"] = [29, 3]

    path = file_of(tmp_path / "e", edited(less))
    assert found(path) == "", "by itself it is a chain"
    assert "not the one given" in found(path, root=root(chain()))
    assert "without the key" in found(path, key=KEY)
    other = file_of(tmp_path / "o", chain(key_id="0" * 16))
    assert "with another key" in found(other, key=KEY)
    assert "without a key" in found(file_of(tmp_path / "n", chain(key_id=None)), key=KEY)
    assert found(other) == ""


def test_the_run_before(tmp_path: Path) -> None:
    one = chain()
    head = sha(text(one[-1]))
    two = chain(first=6, prev=head, after="other")
    path, before = file_of(tmp_path / "two", two), tmp_path / "one"
    before.write_text(file_of(tmp_path / "x", one).read_text().replace(RUN, "other"))
    assert "not intact itself" in found(path, before=before)
    verdict = verify(path)
    assert head in "; ".join(verdict.unchecked), "what it goes on from is told, to be compared"
    assert "of its run that are not there" in found(file_of(tmp_path / "y", chain(first=6, prev=head, after=RUN)))
    same = chain(1, first=6, prev=head, after=RUN, tables=["T0", "C"])
    assert verify(file_of(tmp_path / "z", one, same)).policies[1]["joined"]
    moved = chain(1, first=7, prev=head, after=RUN, tables=["T0", "C"])
    assert "does not go on from the last link" in found(file_of(tmp_path / "z", one, moved))


def test_a_run_without_an_end(tmp_path: Path) -> None:
    verdict = verify(file_of(tmp_path / "e", chain()[:-1]))
    assert verdict.is_intact
    assert "it has no end" in "; ".join(verdict.unchecked)


NO_EVIDENCE = {
    "nothing": b"",
    "text": b"hello\n",
    "bytes": b"\xff\xfe\n",
    "another": b'{"schema":"purgekit.planfile/1"}\n',
    "deep": b"[" * 200_000 + b"\n",
    "deep members": b'{"a":' * 100_000 + b"\n",
    "long": b"x" * 1_000_000,
    "numbers": b'{"schema":' + b"9" * 200_000 + b"}\n",
    "nan": b'{"schema":NaN}\n',
    "surrogate": b'{"schema":"\\ud800"}\n',
}


@pytest.mark.parametrize("name", NO_EVIDENCE)
def test_what_is_no_evidence(tmp_path: Path, name: str) -> None:
    path = tmp_path / "e"
    path.write_bytes(NO_EVIDENCE[name])
    with pytest.raises(pk.EvidenceError) as caught:
        verify(path)
    assert caught.value.code == "evidence_foreign"
    assert "\n" not in caught.value.message


def test_what_can_not_be_read(tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.write_text('{"schema":"purgekit.evidence/2"}\n')
    os.mkfifo(tmp_path / "pipe")
    for path, code in (
        (newer, "evidence_newer"),
        (tmp_path / "none", "evidence_io"),
        (tmp_path / "pipe", "evidence_io"),
        (tmp_path, "evidence_io"),
        (Path("\0"), "evidence_io"),
    ):
        with pytest.raises(pk.EvidenceError) as caught:
            verify(path)
        assert caught.value.code == code
    path = file_of(tmp_path / "e", chain())
    short = tmp_path / "short"
    short.write_bytes(b"x")
    for how in ({"root": "abc"}, {"key": tmp_path / "none"}, {"key": short}, {"key": tmp_path / "pipe"}):
        with pytest.raises(pk.EvidenceError):
            verify(path, **how)
    with pytest.raises(pk.EvidenceError, match="is there already"):
        server = {"database": "d", "product": "p", "version": "1"}
        pk.evidence.Evidence(RUN, [], "b", server).save(path)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=70) | st.just("0" * 64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_VALID = [text({"hash": sha(text(link)), "link": link}) for link in chain()]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_text_makes_it_fall_over(tmp_path: Path, data: st.DataObject) -> None:
    links = chain()
    for _ in range(data.draw(st.integers(1, 3))):
        link = data.draw(st.sampled_from(links))
        name = data.draw(st.sampled_from([*link, "more"]))
        link[name] = data.draw(VALUES)
    path = tmp_path / "e"
    if data.draw(st.booleans()):
        path.write_bytes(data.draw(st.binary(max_size=200)))
    else:
        try:
            file_of(path, links)
        except UnicodeEncodeError:
            return
        if data.draw(st.booleans()):
            whole = path.read_bytes()
            at = data.draw(st.integers(0, len(whole)))
            path.write_bytes(whole[:at] + data.draw(st.binary(max_size=20)) + whole[at:])
    try:
        verdict = verify(path, key=data.draw(st.sampled_from([None, KEY])))
    except pk.EvidenceError:
        return
    assert isinstance(verdict, Verdict)
    assert "\n" not in verdict.problem
    json.dumps(verdict.to_dict())


def test_this_machine_s_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("PURGEKIT_STATE", str(state))
    monkeypatch.delenv("PURGEKIT_EVIDENCE_KEY_FILE", raising=False)
    key = find_key(None)
    path = state / "evidence.key"
    assert (len(key), path.read_bytes(), path.stat().st_mode & 0o777) == (32, bytes(key), 0o600)
    assert find_key(None) == key, "the same from then on"
    assert [entry.name for entry in state.iterdir()] == ["evidence.key"]
    assert key.hex() not in repr(key) + str(key) + f"{key}"
    assert str(bytes(key)) not in repr([key])
    path.chmod(0o644)
    assert find_key(None) == Key(), "others could have read it"
    assert "evidence is made without a key" in caplog.text
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert find_key(None) == Key()
    assert not (tmp_path / "elsewhere").exists()
    own = tmp_path / "own"
    own.write_bytes(KEY)
    monkeypatch.setenv("PURGEKIT_EVIDENCE_KEY_FILE", str(own))
    assert (find_key(None), find_key(None).id) == (KEY, KEY_ID)
    own.write_bytes(b"short")
    with pytest.raises(pk.EvidenceError, match="16 to 4096 bytes"):
        find_key(None)

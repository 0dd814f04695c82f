"""Whether evidence is what it was when it was made, found out from its file alone."""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO

from purgekit.errors import EvidenceError
from purgekit.evidence.chain import Chain, Head
from purgekit.evidence.keys import Key, read_key
from purgekit.evidence.links import (
    HEADER,
    MOST_LINE_BYTES,
    SCHEMA,
    Damaged,
    Json,
    canonical,
    checked_link,
    digest,
    fits,
    is_hash,
    parsed,
    root_of,
)
from purgekit.text import printable

_READ = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass
class Verdict:
    """What was found out about a file of evidence.

    Attributes:
        path: the file.
        problem: the first thing that is wrong, or empty: it is intact.
        run_id: whose evidence it is.
        root: what its links come down to, computed anew; empty when they are not intact.
        links: links that are intact, from the first on.
        rows_deleted: of all tables, by those links.
        rows_archived: of them, how many were kept.
        policies: for each, what its links tell: ``policy``, ``table``, ``status`` (None: it has no end), ``links``,
            ``head``, and ``after``, ``prev``: the run and the hash that it goes on from.
        checked: what was looked at, for people.
        unchecked: what was not, and how it can be.
    """

    path: Path
    problem: str = ""
    run_id: str = ""
    root: str = ""
    links: int = 0
    rows_deleted: int = 0
    rows_archived: int = 0
    policies: list[Json] = field(default_factory=list)
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Whether nothing is wrong with it, as far as ``checked`` goes."""
        return not self.problem

    def to_dict(self) -> Json:
        """As ``--json`` prints it."""
        return {"schema": "purgekit.evidence-verify/1", "ok": self.is_intact, **asdict(self), "path": str(self.path)}


def verify(
    path: str | os.PathLike[str],
    *,
    root: str | None = None,
    key: str | os.PathLike[str] | bytes | None = None,
    archive: str | os.PathLike[str] | None = None,
    before: str | os.PathLike[str] | None = None,
) -> Verdict:
    """Judge a file of evidence. Needs no database and changes nothing.

    Args:
        path: what ``purgekit evidence export`` wrote.
        root: the root that the run's log or report had.
        key: the key that the run used, or a file with it.
        archive: archive file, or folder of them, that the run wrote.
        before: evidence of the run before, which this one goes on from.

    Raises:
        EvidenceError: there is no evidence to be read, or a key can't be.
        ArchiveError: there is no archive at that place.
    """
    secret = None if key is None else Key(key) if isinstance(key, bytes) else read_key(key)
    wanted = _root(root)
    verdict, heads = _read(Path(path), secret, {} if before is None else _heads(Path(before)))
    if not verdict.is_intact:
        return verdict
    _check_root(verdict, wanted)
    _tell_key(verdict, secret)
    _tell_before(verdict, before, heads)
    for policy in verdict.policies:
        if policy["status"] is None:
            verdict.unchecked.append(
                f"whether links are missing at the end of {printable(policy['policy'])}: its run was killed, or another"
                " one took its table over, so that it has no end"
            )
    if verdict.is_intact:
        _check_archive(verdict, Path(path), archive)
    return verdict


def _root(text: str | None) -> str | None:
    if text is None:
        return None
    if not is_hash(text.strip().lower()):
        raise EvidenceError("a root has 64 hexadecimal digits; the run's log and report show it", code="evidence_root")
    return text.strip().lower()


def links(path: Path) -> Iterator[Json]:
    """The links of a file that is known to be intact."""
    with _opened(path) as file:
        next(_lines(file))
        for line in _lines(file):
            yield parsed(line)["link"]


def _heads(path: Path) -> dict[str, Head]:
    verdict, heads = _read(path, None, {})
    if not verdict.is_intact:
        raise EvidenceError(f"{printable(path)} is not intact itself: {verdict.problem}", code="evidence_before")
    return {table: head for table, head in heads.items() if head.run_id == verdict.run_id}


def _read(path: Path, key: Key | None, before: dict[str, Head]) -> tuple[Verdict, dict[str, Head]]:
    """Every line, as far as they are intact; and the last link of each table."""
    verdict = Verdict(path)
    heads = dict(before)
    with _opened(path) as file:
        lines = _lines(file)
        header = _header(path, lines)
        verdict.run_id = str(header.get("run_id", ""))
        where = "its first line"
        try:
            _check_header(header)
            where = "line 2"
            chain: Chain | None = None
            chains: list[Chain] = []
            for number, line in enumerate(lines, 2):
                where = f"line {number}"
                link = _link(line, header)
                if chain is None or chain.ordinal != link["ordinal"]:
                    if chain is not None and chain.ordinal > link["ordinal"]:
                        raise Damaged("is not in its place: the links of each policy come in their order")
                    chain = Chain(link, key)
                    chains.append(chain)
                chain.add(link, digest(canonical(link)), heads)
                verdict.links += 1
                verdict.rows_deleted += sum(link["rows_deleted"]) if link["kind"] == "chunk" else 0
                verdict.rows_archived += sum(link["rows_archived"]) if link["kind"] == "chunk" else 0
                where = f"line {number + 1}"
            where = "its end"
            verdict.policies = [one.to_dict() for one in chains]
            verdict.root = root_of([one.head for one in chains])
            if verdict.links != header["links"]:
                raise Damaged(f"has {verdict.links} links before it, and its first line says {header['links']}")
            if verdict.root != header["root"]:
                raise Damaged("comes down to another root than its first line says")
        except Damaged as error:
            verdict.problem = f"{where} {error}"
            verdict.root = ""
        except UnicodeDecodeError:
            verdict.problem = f"{where} is no UTF-8"
            verdict.root = ""
    verdict.checked.append("each link's hash, and that each names the one before; none missing, added or moved between")
    verdict.checked.append("that each policy's totals are the sum of its chunks")
    return verdict, heads


def _link(line: str, header: Json) -> Json:
    entry = parsed(line)
    if "text" in entry:
        raise Damaged("is a link that was changed in the ledger")
    if entry.keys() != {"hash", "link"}:
        raise Damaged("is no link")
    link = checked_link(entry["link"])
    if entry["hash"] != digest(canonical(link)):
        raise Damaged(f"(link {link['number']}) is not what was written: its hash differs")
    if link["run_id"] != header["run_id"]:
        raise Damaged(f"(link {link['number']}) is of another run")
    return link


def _header(path: Path, lines: Iterator[str]) -> Json:
    """EvidenceError when the file is no evidence, or of a later version."""
    try:
        header = parsed(next(lines, ""))
    except (Damaged, UnicodeDecodeError):
        raise EvidenceError(
            f"{printable(path)} is no evidence of purgekit, or its first line was changed", code="evidence_foreign"
        ) from None
    known, found = SCHEMA.split("/"), str(header.get("schema")).split("/")
    if len(found) == 2 and found[0] == known[0] and found[1].isdecimal() and int(found[1][:9]) > int(known[1]):
        raise EvidenceError(
            f"{printable(path)} was written by a newer version of purgekit; verify it with that version",
            code="evidence_newer",
        )
    if found != known:
        raise EvidenceError(f"{printable(path)} is no evidence of purgekit", code="evidence_foreign")
    return header


def _check_header(header: Json) -> None:
    content = {name: value for name, value in header.items() if name != "hash"}
    if not fits(header, HEADER) or header["hash"] != digest(canonical(content)):
        raise Damaged("is not what was written: its hash differs")


def _check_root(verdict: Verdict, wanted: str | None) -> None:
    if wanted is None:
        verdict.unchecked.append(
            "whether somebody made all of it anew: compare its root with the one in the run's log (--root)"
        )
    elif not hmac.compare_digest(wanted, verdict.root):
        verdict.problem = f"its root is {verdict.root}, and not the one given: these are not the run's links"
    else:
        verdict.checked.append("that its root is the one given")


def _tell_key(verdict: Verdict, key: Key | None) -> None:
    if key is None:
        verdict.unchecked.append("whether its maker had the run's key (--key)")
    elif any(policy["status"] is not None for policy in verdict.policies):
        verdict.checked.append("that whoever made it had the key")
    verdict.unchecked.append("the keyed hashes of ranges of keys: to check one takes the keys themselves")


def _tell_before(verdict: Verdict, before: str | os.PathLike[str] | None, heads: dict[str, Head]) -> None:
    for policy in verdict.policies:
        after = policy["after"]
        if after is None or after == verdict.run_id:
            continue
        name, run = printable(policy["policy"]), printable(after)
        if policy["joined"]:
            verdict.checked.append(f"that {name} goes on from the last link of run {run}")
        elif before is None:
            verdict.unchecked.append(
                f"the links before: {name} goes on from run {run}, whose last link is {policy['prev']} (--before)"
            )
        else:
            verdict.unchecked.append(f"the links before: {name} goes on from run {run}, which was not given")


def _check_archive(verdict: Verdict, path: Path, archive: str | os.PathLike[str] | None) -> None:
    if not verdict.rows_archived:
        return
    if archive is None:
        verdict.unchecked.append("the archive, where rows were kept (--archive, for files)")
        return
    from purgekit.evidence.archived import compare

    missing = compare(links(path), Path(archive))
    if missing.problem:
        verdict.problem = missing.problem
    else:
        verdict.checked.append(f"that {missing.rows:,} archived rows are in the files, as they were deleted")
    if missing.rows != verdict.rows_archived:
        verdict.unchecked.append("rows that were kept in tables")


def _opened(path: Path) -> BinaryIO:
    try:
        descriptor = os.open(path, _READ)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise EvidenceError(f"{printable(path)} is not a file", code="evidence_io")
        return os.fdopen(descriptor, "rb")
    except (OSError, ValueError) as error:  # ValueError: a name that can't be one
        why = printable(getattr(error, "strerror", None) or error)
        raise EvidenceError(f"{printable(path)} can't be read: {why}", code="evidence_io") from None


def _lines(file: BinaryIO) -> Iterator[str]:
    """Each whole line, of bounded length; Damaged for another."""
    while line := file.readline(MOST_LINE_BYTES + 1):
        if not line.endswith(b"\n"):
            raise Damaged("is too long for a link" if len(line) > MOST_LINE_BYTES else "is cut off")
        yield line[:-1].decode("utf-8")


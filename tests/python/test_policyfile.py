"""TOML policy files: the contract's examples, equality with Python, and every refusal as one line."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

import purgekit as pk

HEAD = '[[policy]]\nname = "a"\ntable = "T"\n'

CONTRACT = """
[[policy]]
name  = "sessions"
table = "IDN_AUTH_SESSION_STORE"        # schema-qualified if need be
grace = "2h"                            # the default
expired = { column = "EXPIRY_TIME", unit = "ns" }

[[policy]]
name  = "old-sessions"
table = "IDN_AUTH_SESSION_STORE"
created = { column = "TIME_CREATED", unit = "ns", lifetime = "14d" }
all = [ { column = "OPERATION", in = ["STORE"] } ]

[[policy]]
name  = "tokens"
table = "IDN_OAUTH2_ACCESS_TOKEN"
any = [
  { column = "TOKEN_STATE", in = ["REVOKED", "EXPIRED"] },
  { all = [
      { created = { column = "TIME_CREATED", unit = "timestamp", lifetime = { column = "VALIDITY_PERIOD", unit = "ms" } } },
      { created = { column = "REFRESH_TOKEN_TIME_CREATED", unit = "timestamp", lifetime = { column = "REFRESH_TOKEN_VALIDITY_PERIOD", unit = "ms" } } },
  ] },
]
"""  # noqa: E501 - as the contract has it


def read(tmp_path: Path, text: str) -> list[pk.Policy]:
    path = tmp_path / "policies.toml"
    path.write_text(text, encoding="utf-8")
    return pk.load_policies(path)


def test_contract_examples_equal_their_python_form(tmp_path: Path) -> None:
    sessions, old, tokens = read(tmp_path, CONTRACT)
    assert sessions == pk.Policy("sessions", table="IDN_AUTH_SESSION_STORE", where=pk.expired("EXPIRY_TIME", unit="ns"))
    assert old == pk.Policy(
        "old-sessions",
        table="IDN_AUTH_SESSION_STORE",
        where=pk.created("TIME_CREATED", unit="ns", lifetime="14d") & pk.col("OPERATION").isin(["STORE"]),
    )
    lifetime, refresh = pk.col("VALIDITY_PERIOD"), pk.col("REFRESH_TOKEN_VALIDITY_PERIOD")
    both = pk.created("TIME_CREATED", lifetime=lifetime, lifetime_unit="ms", unit="timestamp") & pk.created(
        "REFRESH_TOKEN_TIME_CREATED", lifetime=refresh, lifetime_unit="ms", unit="timestamp"
    )
    assert tokens == pk.Policy(
        "tokens", table="IDN_OAUTH2_ACCESS_TOKEN", where=pk.col("TOKEN_STATE").isin(["REVOKED", "EXPIRED"]) | both
    )
    assert hash(tokens) == hash(pk.Policy.from_json(tokens.to_json()))


def test_strategy(tmp_path: Path) -> None:
    rule = 'expired = { column = "E", unit = "ns" }\n'
    (plain,) = read(tmp_path, HEAD + rule)
    (spelt_out,) = read(tmp_path, HEAD + 'strategy = "auto"\nmove_window = "1m"\n' + rule)
    (swap,) = read(tmp_path, HEAD + 'strategy = "swap"\nmove_window = "1500ms"\n' + rule)
    assert (plain.strategy, plain.move_window_ns) == ("auto", 60 * 10**9)
    assert spelt_out.to_json() == plain.to_json()
    assert (swap.strategy, swap.move_window_ns) == ("swap", 1_500_000_000)
    assert swap == pk.Policy.from_json(swap.to_json())
    assert swap != plain


RULES = [
    ('all = [{ column = "A", null = true }]', pk.col("A").is_null()),
    ('all = [{ column = "A", null = false }]', pk.col("A").not_null()),
    ('all = [{ column = "A", op = "<=", value = 3 }]', pk.col("A") <= 3),
    ('all = [{ column = "A", op = "!=", value = "x" }]', pk.col("A") != "x"),
    ('all = [{ column = "A", op = "=", value = true }]', pk.col("A") == True),  # noqa: E712 - a value, not a test
    (
        'all = [{ column = "A", op = ">", value = 2026-01-02T03:04:05Z }]',
        pk.col("A") > datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    ),
    ('not = { column = "A", in = [1, 2] }', ~pk.col("A").isin([1, 2])),
    (
        'expired = { column = "A", unit = "s", grace = "1d", null = "purge" }',
        pk.expired("A", unit="s", grace="1d", null="purge"),
    ),
    (
        'expired = { column = "A", timezone = "Europe/Berlin", stored = "wall" }',
        pk.expired("A", timezone="Europe/Berlin", stored="wall"),
    ),
    (
        'created = { column = "A", unit = "ms", lifetime = { column = "L", unit = "s", null = "purge" } }',
        pk.created("A", unit="ms", lifetime=pk.col("L"), lifetime_unit="s", lifetime_null="purge"),
    ),
    (
        'not_referenced_by = { table = "C", on = { X = "A" }, older = "T", where = { column = "S", in = ["s"] } }',
        pk.not_referenced_by("C", on={"X": "A"}, older="T", where=pk.col("S").isin(["s"])),
    ),
    ('referenced_by = { table = "C", on = { X = "A" }, newer = "T" }', pk.referenced_by("C", on={"X": "A"}, newer="T")),
    ('keep_latest = { n = 2, per = ["A", "B"], order_by = "T" }', pk.keep_latest(2, per=["A", "B"], order_by="T")),
    ('sql = { text = "A = :n", n = 5 }', pk.sql("A = :n", n=5)),
    (
        'expired = { column = "A", unit = "s" }\nany = [{ column = "B", in = [1] }, { column = "B", null = true }]',
        pk.expired("A", unit="s") & (pk.col("B").isin([1]) | pk.col("B").is_null()),
    ),
]


@pytest.mark.parametrize(
    ("toml", "where"), RULES, ids=[toml.split(" ")[0] + str(i) for i, (toml, _) in enumerate(RULES)]
)
def test_rule_equals_its_python_form(tmp_path: Path, toml: str, where: pk.Predicate) -> None:
    (policy,) = read(tmp_path, HEAD + toml)
    assert policy == pk.Policy("a", table="T", where=where)


def test_everything_around_the_rule(tmp_path: Path) -> None:
    extra = """
grace = "1d12h"
max_fraction = 0.5
optional = true
dependents = [{ table = "K", on = { T_ID = "ID" }, unless_referenced = false, optional = true }]
expired = { column = "E", unit = "ms" }
held_while = { referenced_by = { table = "T", on = { P = "ID" } } }
"""
    (policy,) = read(tmp_path, HEAD + extra)
    child = pk.dependent("K", on={"T_ID": "ID"}, unless_referenced=False, optional=True)
    assert policy == pk.Policy(
        "a",
        table="T",
        where=pk.expired("E", unit="ms"),
        grace="36h",
        max_fraction=0.5,
        optional=True,
        dependents=[child],
        held_while=pk.referenced_by("T", on={"P": "ID"}),
    )


REFUSED = [
    ("", "no policy"),
    ('[policy]\nname = "a"', "[[policy]]"),
    ("[[polcy]]\n", "did you mean [[policy]]"),
    ("policy = [3]", "must be a table"),
    (HEAD, "no rule"),
    (HEAD + 'expired = { colum = "E", unit = "ns" }', "unknown key 'colum' in expired (did you mean column?)"),
    (HEAD + 'expird = { column = "E" }', "unknown key 'expird' (did you mean expired?)"),
    (HEAD + 'expired = { column = "E", unit = "nss" }', "did you mean ns?"),
    (HEAD + 'expired = { unit = "ns" }', "'column' in expired is missing"),
    (HEAD + 'expired = { column = 3, unit = "ns" }', "'expired.column' must be text"),
    (HEAD + 'expired = { column = "E", unit = "ns", null = true }', '"keep" or "purge"'),
    (HEAD + 'grace = "2 hours"\nexpired = { column = "E", unit = "ns" }', "2 hours"),
    (HEAD + 'grace = "-2h"\nexpired = { column = "E", unit = "ns" }', "-2h"),
    (HEAD + 'created = { column = "E", unit = "ns", lifetime = "999999d" }', "lifetime"),
    (HEAD + 'created = { column = "E", unit = "ns" }', "'lifetime' in created is missing"),
    (HEAD + 'created = { column = "E", unit = "ns", lifetime = { column = "L" } }', "'unit' in created.lifetime"),
    (HEAD + "all = []", "'all' must not be empty"),
    (HEAD + "all = [{}]", "all[0] is empty"),
    (HEAD + "not = {}", "not is empty"),
    (HEAD + 'all = [{ column = "A" }]', "column 'A' needs one of"),
    (HEAD + 'all = [{ column = "A", in = [] }]', "must not be empty"),
    (HEAD + 'all = [{ column = "A", in = [[1]] }]', "'all[0].in[0]' must be text"),
    (HEAD + 'all = [{ column = "A", op = "=" }]', "both op and value"),
    (HEAD + 'all = [{ column = "A", op = "~", value = 1 }]', "~"),
    (HEAD + "all = [{ in = [1] }]", "no column"),
    (HEAD + 'hold = "x"\nexpired = { column = "E", unit = "ns" }', "'hold' must be a table"),
    (HEAD + 'hold = { table = "H" }\nexpired = { column = "E", unit = "ns" }', "needs both table and on"),
    (HEAD + 'hold = {}\nexpired = { column = "E", unit = "ns" }', "hold is empty"),
    (HEAD + 'strategy = "swop"\nexpired = { column = "E", unit = "ns" }', "unknown strategy swop (did you mean swap?)"),
    (HEAD + 'strategy = 1\nexpired = { column = "E", unit = "ns" }', "'strategy' must be text"),
    (HEAD + 'move_window = "0s"\nexpired = { column = "E", unit = "ns" }', "move_window must lie between"),
    (HEAD + 'move_window = "soon"\nexpired = { column = "E", unit = "ns" }', "soon"),
    (HEAD + 'max_fraction = 2.0\nexpired = { column = "E", unit = "ns" }', "max_fraction"),
    (HEAD + 'not_referenced_by = { table = "C", on = {} }', "not_referenced_by.on"),
    (
        HEAD + 'expired = { column = "E", unit = "ns" }\n' + HEAD + 'expired = { column = "E", unit = "ns" }',
        "two policies",
    ),
    (HEAD + 'expired = { column = "E", unit = "ns" }\nheld_while = { colum = "A" }', "did you mean column?"),
    (HEAD + 'expired = { column = "E", unit = "ns" }\nheld_while = {}', "held_while is empty"),
    ("x = [", "not TOML"),
]


@pytest.mark.parametrize(("text", "part"), REFUSED, ids=range(len(REFUSED)))
def test_refusal_is_one_line_that_names_file_and_offender(tmp_path: Path, text: str, part: str) -> None:
    with pytest.raises(pk.PolicyError) as caught:
        read(tmp_path, text)
    message = str(caught.value)
    assert part in message
    assert "policies.toml" in message
    assert "\n" not in message
    if HEAD in text and "two policies" not in part:
        assert caught.value.policy == "a"


def test_unreadable_files(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(HEAD.encode() + 'all = [{ column = "größe", null = true }]'.encode("latin-1"))
    with pytest.raises(pk.PolicyError, match="not UTF-8"):
        pk.load_policies(path)
    with pytest.raises(pk.PolicyError, match="No such file"):
        pk.load_policies(tmp_path / "absent.toml")
    with pytest.raises(pk.PolicyError, match="directory"):
        (tmp_path / "folder.toml").mkdir()
        pk.load_policies(tmp_path / "folder.toml")
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode() + b'all = [{ column = "A", null = true }]')
    assert pk.load_policies(path)[0].name == "a"


def test_control_characters_are_not_echoed(tmp_path: Path) -> None:
    with pytest.raises(pk.PolicyError) as caught:
        read(tmp_path, HEAD + 'expired = { "col\\u001b[31m" = "E" }')
    assert "\x1b" not in str(caught.value)

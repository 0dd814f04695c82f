"""Database URLs, passwords, and that no secret gets out."""

from pathlib import Path

import pytest

import purgekit as pk
from purgekit.redaction import redact
from purgekit.url import Target, find_password, parse_url


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("sqlite:///relative.db", Target("sqlite", database="relative.db")),
        ("sqlite:////abs/a%20b.db", Target("sqlite", database="/abs/a b.db")),
        ("postgresql://localhost/iam", Target("postgresql", host="localhost", database="iam")),
        ("PostgreSQL+psycopg2://h/d", Target("postgresql", host="h", database="d")),
        (
            "postgresql://u@h:5433/d?sslmode=verify-full&x=",
            Target("postgresql", "u", "", "h", 5433, "d", (("sslmode", "verify-full"), ("x", ""))),
        ),
        ("mysql://u:p%40ss%2F@h/d", Target("mysql", "u", "p@ss/", "h", 0, "d")),
        ("mariadb://u:p/w?x@[::1]:3307/d", Target("mariadb", "u", "p/w?x", "::1", 3307, "d")),
        ("mysql://h/d?user=u&password=s", Target("mysql", "u", "s", "h", 0, "d")),
        ("postgresql:///d?host=/run/pg", Target("postgresql", database="d", options=(("host", "/run/pg"),))),
        ("odbc://?dsn=NAME", Target("odbc", options=(("dsn", "NAME"),))),
    ],
)
def test_parts(text: str, target: Target) -> None:
    assert parse_url(text) == target


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("app.db", "sqlite:///app.db"),
        ("/data/app.db", "sqlite:////data/app.db"),
        ("sqlite:app.db", "sqlite:///app.db"),
        ("nonsense", "scheme://"),
        ("sqlite://app.db", "sqlite:///relative.db"),
        ("sqlite://", "name a file"),
        ("sqlite:///:memory:", "name a file"),
        ("postgresql://h:port/d", "not a port"),
        ("postgresql://h:70000/d", "not a port"),
        ("mysql://u:%ff@h/d", "not UTF-8"),
        ("mysql://u@h/d%00", "NUL"),
        ("", "scheme://"),
    ],
)
def test_refusals(text: str, part: str) -> None:
    with pytest.raises(pk.ConnectionFailed, match=part):
        parse_url(text)


SECRET = "s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://u:{SECRET}@h/d",
        f"mysql://u:{SECRET}@h:badport/d",
        f"mysql://u:a@{SECRET}@h/d",
        f"mysql://u:{SECRET}/x?y@h/d",
        f"mysql://h/d?password={SECRET}",
        f"odbc:///?odbc_connect=DRIVER%3DX%3BPWD%3D{SECRET}",
        f"mysql//u:{SECRET}@h/d?passwd={SECRET}",
        f"nosuch://u:{SECRET}@h/d",
        f"sqlite://u:{SECRET}@h/d",
    ],
)
def test_no_secret_gets_out(text: str) -> None:
    if "://" in text:
        assert SECRET not in redact(text)
    try:
        target = parse_url(text)
    except pk.ConnectionFailed as error:
        assert SECRET not in f"{error}{error!r}" or "://" not in text
    else:
        assert SECRET not in f"{target}{target!r}"


def test_unknown_scheme_names_the_nearest() -> None:
    with pytest.raises(pk.PurgekitError, match="sqlite") as caught:
        pk.connect(f"sqlit://u:{SECRET}@h/d")
    assert SECRET not in str(caught.value)


def test_order_of_passwords(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_text("from file\nsecond line\n")
    file.chmod(0o600)
    bare, full = parse_url("mysql://u@h/d"), parse_url("mysql://u:from-url@h/d")
    assert find_password(bare, None, None) == ""
    monkeypatch.setenv("PURGEKIT_PASSWORD", "from environment")
    assert find_password(bare, None, None) == "from environment"
    assert find_password(bare, None, file) == "from file"
    assert find_password(bare, "argument", file) == "argument"
    assert find_password(full, "argument", file) == "from-url"


def test_password_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    target, file = parse_url("mysql://u@h/d"), tmp_path / "password"
    with pytest.raises(pk.ConnectionFailed, match="No such file"):
        find_password(target, None, file)
    file.write_bytes(b"\xff\n")
    with pytest.raises(pk.ConnectionFailed, match="not UTF-8"):
        find_password(target, None, file)
    file.write_text("\n")
    with pytest.raises(pk.ConnectionFailed, match="empty"):
        find_password(target, None, file)
    file.write_text(SECRET)
    file.chmod(0o644)
    assert find_password(target, None, file) == SECRET
    assert "chmod 600" in caplog.text
    assert SECRET not in caplog.text

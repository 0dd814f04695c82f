"""Database URLs with anything in them: taken apart, or refused, and never with the password in what is printed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import purgekit as pk
from fuzz.profile import FUZZ
from purgekit.redaction import redact
from purgekit.url import parse_url

SECRET = "Zq7sEcReTx9"
PARTS = st.text(st.sampled_from("aZ09.-_~%:/?#[]@!$&'()*+,;= \0\n\x1b\u202e\xe9\ud800"), max_size=8)
SCHEMES = st.sampled_from(["postgresql", "mysql", "mariadb+pymysql", "sqlite", "odbc", "nosuch", "MySQL", ""])
SECRET_KEYS = st.sampled_from(["password", "passwd", "pwd", "PWD", "sslpassword", "access_token", "client_secret"])


def check(url: str) -> None:
    assert SECRET not in redact(url)
    assert redact(url).isprintable()
    try:
        target = parse_url(url)
    except pk.ConnectionFailed as error:
        shown = str(error) + repr(error)
        assert str(error).isprintable()
    else:
        assert 0 <= target.port < 65_536
        assert "\0" not in target.host + target.database + target.user + target.password
        shown = str(target) + repr(target)
        assert str(target).isprintable()
    assert SECRET not in shown


@FUZZ
@given(st.text(max_size=40) | PARTS)
def test_any_text(text: str) -> None:
    check(text)


@FUZZ
@given(SCHEMES, PARTS, PARTS, PARTS, PARTS, PARTS)
def test_a_password_in_the_user_part(scheme: str, user: str, before: str, after: str, host: str, rest: str) -> None:
    check(f"{scheme}://{user}:{before}{SECRET}{after}@{host}/{rest}")


@FUZZ
@given(SCHEMES, PARTS, PARTS, SECRET_KEYS, PARTS.map(lambda text: text.replace("&", "")), PARTS)
def test_a_password_among_the_options(scheme: str, host: str, path: str, key: str, before: str, behind: str) -> None:
    check(f"{scheme}://{host}/{path}?x=1&{key}={before}{SECRET}&{behind}")


def test_ports_and_names_of_absurd_length() -> None:
    for url in ("mysql://h:" + "9" * 5_000 + "/d", "x" * 5_000, "sqlite:" + "x" * 5_000, "mysql://h/" + "d" * 100_000):
        check(url)

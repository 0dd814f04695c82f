"""What a URL may ask of a client library is a list; nothing on it makes the library load code."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import purgekit as pk
from servers import Connection

LOADED = """
#include <fcntl.h>
__attribute__((constructor)) static void loaded(void) { open("%s", O_CREAT, 0600); }
"""
# Options of the client libraries that name code, files with settings, or settings a purge relies on.
FORBIDDEN = {
    "sqlite": "load_extension enable_load_extension vfs mode cache immutable key",
    "postgresql": "service servicefile options requirepeer replication client_encoding",
    "mysql": "plugin_dir pluginDir defaultAuth default_auth init_command preInit postInit OPT_LOCAL_INFILE "
    "local_infile allowMultiStatements CLIENT_MULTI_STATEMENTS rsaKey server_pub_key",
}


@pytest.fixture
def library(tmp_path: Path) -> tuple[Path, Path]:
    """A shared library, and the file that tells that it was loaded."""
    marker, source, made = tmp_path / "loaded", tmp_path / "x.c", tmp_path / "evil.so"
    source.write_text(LOADED % marker)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(made), str(source)], check=True)
    return made, marker


@pytest.mark.parametrize(("scheme", "option"), [(s, o) for s, options in FORBIDDEN.items() for o in options.split()])
def test_what_is_not_on_the_list_is_refused_by_name(scheme: str, option: str, tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    path.touch()
    place = f"/{path}" if scheme == "sqlite" else "u@127.0.0.1:1/db"
    with pytest.raises(pk.PurgekitError, match=option):
        pk.connect(f"{scheme}://{place}?{option}=1")


@pytest.mark.needs_server
def test_sslkey_never_loads_an_engine(library: tuple[Path, Path], postgresql_url: str) -> None:
    made, marker = library
    url = f"{postgresql_url}?sslmode=prefer&sslcert=/etc/hostname&sslkey={str(made).removesuffix('.so')}.so:key"
    with pytest.raises(pk.PurgekitError, match="sslkey names a file"):
        pk.connect(url)
    assert not marker.exists()


@pytest.mark.needs_server
@pytest.mark.parametrize("server", ["mariadb", "mysql56"])
def test_an_option_file_of_strangers_is_not_read(
    server: str, library: tuple[Path, Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """It could name a library (plugin-dir, default-auth) that the client then loads."""
    made, marker = library
    options = tmp_path / "my.cnf"
    options.write_text(f"[client]\nplugin-dir={made.parent}\ndefault-auth=evil\n")
    options.chmod(0o666)
    url = request.getfixturevalue(f"{server}_url")
    with pytest.raises(pk.PurgekitError, match=r"option file .* is not read.*chmod o-w"):
        pk.connect(f"{url}?read_default_file={options}")
    assert not marker.exists()


def test_a_rule_in_sqlite_loads_no_extension(
    library: tuple[Path, Path], sqlite_url: str, admin: Callable[[str], Connection]
) -> None:
    made, marker = library
    cursor = admin(sqlite_url).cursor()
    cursor.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY)")
    cursor.execute("INSERT INTO T VALUES (1)")
    policy = pk.Policy("p", table="T", where=pk.sql("load_extension(:path) IS NULL", path=str(made)))
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgekitError):
        db.run(policy, limits=pk.Limits(max_fraction=1))
    assert not marker.exists()


def test_functions_with_effects_are_not_lent_to_a_files_schema(
    sqlite_url: str, admin: Callable[[str], Connection]
) -> None:
    """Whoever wrote the file wrote its triggers; they get what SQLite calls harmless and nothing more."""
    cursor = admin(sqlite_url).cursor()
    cursor.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, X TEXT)")
    cursor.execute("INSERT INTO T VALUES (1, 'a'), (2, 'b')")
    cursor.execute("CREATE TRIGGER G AFTER DELETE ON T BEGIN SELECT purgekit_ns(OLD.X); END")
    with pk.connect(sqlite_url) as db, pytest.raises(pk.PurgekitError, match="unsafe use of purgekit_ns"):
        db.run(pk.Policy("p", table="T", where=pk.col("X") == "a"))
    cursor.execute("SELECT COUNT(*) FROM T")
    assert cursor.fetchone() == (2,)

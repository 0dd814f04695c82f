"""Backends that are not part of purgekit: built by their authors' means, found, and held to the shipped suite."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk
from purgekit.testing import ConformanceSuite, Quirks

HERE = Path(__file__).resolve().parent
TEMPLATE = HERE.parents[1] / "plugins" / "null"
ONE_WRITER = "SQLite locks the whole file, so a writer blocks everything"
# Where a plugin is loaded from differs between these tests, and a loaded one stays: each has a process of its own.
pytestmark = pytest.mark.long

LIST = "import json, purgekit; print(json.dumps(purgekit.backends()))"
PURGE = """
import sys, purgekit as pk
if sys.argv[2:]:
    print(pk.load_backend(sys.argv[2]))
with pk.connect(sys.argv[1]) as db:
    print(db.run(pk.Policy("p", table="T", where=pk.col("STATE") == "gone")).rows_deleted)
"""


def run(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Standard output; on failure the test shows both streams."""
    done = subprocess.run(
        [str(part) for part in command],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def python(code: str, *arguments: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run code in a new interpreter; warnings are errors there too."""
    return run(sys.executable, "-W", "error", "-c", code, *arguments, env=env)


def listed(env: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """What ``backends()`` tells in a new process, by name."""
    return {entry["name"]: entry for entry in json.loads(python(LIST, env=env))}


def cmake(source: Path, build: Path) -> None:
    """Configure and build as plugins/README.md tells."""
    run("cmake", "-S", source, "-B", build, "-DCMAKE_BUILD_TYPE=Release", f"-Dpurgekit_DIR={pk.get_cmake_dir()}")
    run("cmake", "--build", build)


def make_rows(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE T (ID INTEGER PRIMARY KEY, STATE TEXT)")
        db.executemany("INSERT INTO T (STATE) VALUES (?)", [("gone",), ("kept",), ("gone",)])


def rows_of(path: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute("SELECT ID, STATE FROM T").fetchall()


@pytest.fixture(scope="module")
def filedb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The third-party C++ backend, built outside the tree against the installed package."""
    folder = tmp_path_factory.mktemp("filedb")
    shutil.copytree(HERE / "third_party" / "cpp_backend", folder / "source")
    cmake(folder / "source", folder / "build")
    return folder / "build" / "purgekit_backend_filedb.so"


class TestFound:
    def test_on_the_plugin_path(self, filedb: Path, tmp_path: Path) -> None:
        env = {"PURGEKIT_PLUGIN_PATH": str(filedb.parent)}
        entry = listed(env)["filedb"]
        assert entry["status"] == "ok"
        assert str(filedb) in entry["source"]
        assert (entry["version"], entry["schemes"]) == ("1.0", ["filedb"])
        database = tmp_path / "x.db"
        make_rows(database)
        assert python(PURGE, f"filedb:///{database}", env=env).split() == ["2"]
        assert rows_of(database) == [(2, "kept")]

    def test_by_an_explicit_path(self, filedb: Path, tmp_path: Path) -> None:
        database = tmp_path / "x.db"
        make_rows(database)
        assert python(PURGE, f"filedb:///{database}", filedb).split() == ["filedb", "2"]
        assert rows_of(database) == [(2, "kept")]

    def test_the_plugin_path_goes_before_the_packages_own_folder(self, filedb: Path, tmp_path: Path) -> None:
        own = Path(pk.get_include()).parent / "plugins" / "purgekit_backend_sqlite.so"
        shutil.copy(own, tmp_path)
        shutil.copy(filedb, tmp_path / "purgekit_backend_second.so")
        env = {"PURGEKIT_PLUGIN_PATH": f"{tmp_path}{os.pathsep}{filedb.parent}"}
        found = listed(env)
        assert str(tmp_path) in found["sqlite"]["source"]
        assert str(tmp_path) in found["filedb"]["source"], "of two with one name, the first found wins"

    def test_what_is_refused_is_listed_with_its_reason(self, tmp_path: Path) -> None:
        (tmp_path / "purgekit_backend_text.so").write_text("this is no library, whatever it is called, is it?\n" * 3)
        (tmp_path / "purgekit_backend_none.so").write_bytes(b"")
        absent = tmp_path / "absent"
        found = listed({"PURGEKIT_PLUGIN_PATH": f"{tmp_path}{os.pathsep}{absent}"})
        assert "is not a shared library" in found["text"]["status"]
        assert "is empty" in found["none"]["status"]
        assert any(str(absent) in entry["source"] for entry in found.values())
        assert found["sqlite"]["status"] == "ok", "one that is bad does not take the others along"

    def test_a_url_never_names_a_library(self, filedb: Path) -> None:
        with pytest.raises(pk.PurgekitError):
            pk.connect(f"{filedb}://x")

    def test_an_explicit_path_that_is_bad_raises(self, tmp_path: Path) -> None:
        bad = tmp_path / "purgekit_backend_bad.so"
        bad.write_text("no library")
        with pytest.raises(pk.PurgekitError, match="is not a shared library"):
            pk.load_backend(bad)


class TestConformance(ConformanceSuite):
    """The third-party C++ backend passes the suite that ours pass."""

    @pytest.fixture
    def declared_quirks(self, filedb: Path, tmp_path: Path) -> Quirks:
        pk.load_backend(filedb)
        path = tmp_path / "suite.db"
        with closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
        return Quirks(
            url=f"filedb:///{path}",
            admin=lambda: sqlite3.connect(path, timeout=10, isolation_level=None),
            unsupported={
                "locked_rows": ONE_WRITER,
                "timestamps": "SQLite has no date and time type, and this backend does not read text",
                "care": "left to whoever keeps the file",
                "run_lock": "left to the ledger's fence",
                "replacing": "the rowid is the key there, and a row that is made again has another",
            },
        )


class TestAuthors:
    def test_the_commands_for_authors_are_true(self, tmp_path: Path) -> None:
        """The shell commands of plugins/README.md: a copy of the template, built and found."""
        shutil.copytree(TEMPLATE.parent, tmp_path / "plugins")
        text = (TEMPLATE.parent / "README.md").read_text()
        (script,) = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        bin_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        shown = run("sh", "-euc", f"cd '{tmp_path}'\n{script}", env={"PATH": bin_first})
        assert re.search(r"\bmine\b", shown), shown
        assert listed({"PURGEKIT_PLUGIN_PATH": str(tmp_path / "my_backend" / "build")})["mine"]["status"] == "ok"

    def test_the_three_lines_that_the_template_tells_are_enough(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        shutil.copytree(TEMPLATE, source)
        lists = source / "CMakeLists.txt"
        comments = [line for line in lists.read_text().splitlines() if line.startswith("#   ")]
        lines = [line.removeprefix("#").partition("# ")[0].strip() for line in comments]
        lists.write_text("\n".join([*lines, lists.read_text()]))
        cmake(source, tmp_path / "build")
        assert listed({"PURGEKIT_PLUGIN_PATH": str(tmp_path / "build")})["null"]["status"] == "ok"

    def test_the_headers_are_all_that_a_compiler_needs(self, tmp_path: Path) -> None:
        library = tmp_path / "purgekit_backend_null.so"
        flags = ["-std=c++20", "-shared", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
        run("c++", *flags, "-I", pk.get_include(), "-o", library, TEMPLATE / "backend.cpp")
        assert listed({"PURGEKIT_PLUGIN_PATH": str(tmp_path)})["null"]["status"] == "ok"

    def test_the_c_header_is_c(self, tmp_path: Path) -> None:
        source = tmp_path / "one.c"
        source.write_text('#include "purgekit/abi.h"\nint main(void) { return sizeof(pk_backend) == 0; }\n')
        flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
        run("cc", *flags, "-I", pk.get_include(), "-c", source, "-o", tmp_path / "one.o")

    def test_an_installed_package_is_found_by_its_entry_point(self, tmp_path: Path) -> None:
        source = tmp_path / "source"
        shutil.copytree(HERE / "third_party" / "python_backend", source)
        site = tmp_path / "site"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        run(*pip, "--no-deps", "--no-build-isolation", "--root-user-action=ignore", "--target", site, source)
        database = tmp_path / "x.db"
        make_rows(database)
        env = {"PYTHONPATH": str(site)}
        found = listed(env)
        assert found["pyfile"]["status"] == "ok"
        assert found["pyfile"]["source"] == "python"
        assert "no_such_thing" in found["broken"]["status"], "a broken one is listed and does no harm"
        assert python(PURGE, f"pyfile:///{database}", env=env).split() == ["2"]
        assert rows_of(database) == [(2, "kept")]

"""Code and policies that strangers could have written are not used, and the refusal says why and what to do."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import purgekit as pk

NOBODY = 65_534
POLICY_PY = "import purgekit as pk\np = pk.Policy('p', table='T', where=pk.col('X') == 1)\n"
POLICY_TOML = '[[policy]]\nname = "p"\ntable = "T"\ncolumn = "X"\nop = "="\nvalue = 1\n'
SQL_TOML = '[[policy]]\nname = "p"\ntable = "T"\nsql = { text = "X = 1" }\n'


def own_plugin() -> Path:
    return Path(pk.get_include()).parent / "plugins" / "purgekit_backend_sqlite.so"


def give_to_a_stranger(path: Path) -> None:
    """Tests run as root, or as somebody who may become root, as python/quickstart.sh asks for."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
    subprocess.run([*sudo, "chown", "--no-dereference", str(NOBODY), str(path)], check=True)


def cli(*arguments: str | Path, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    package = str(Path(pk.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-m", "purgekit", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": package, **env},
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


def loaded(path: Path) -> str:
    """What ``load_backend`` says to a path, in a process of its own: a loaded library stays."""
    program = (
        "import sys, purgekit as pk\n"
        "try: print(pk.load_backend(sys.argv[1]))\n"
        "except pk.PurgekitError as error: print(error)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    ).stdout


def found(plugin_path: str | Path) -> dict[str, dict[str, Any]]:
    """Backends by source."""
    done = cli("backends", "--json", PURGEKIT_PLUGIN_PATH=str(plugin_path))
    assert done.returncode == 0, done.stderr
    return {backend["source"]: backend for backend in json.loads(done.stdout)["backends"]}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a good plugin in it, under one more that may be opened to all."""
    made = tmp_path / "outer" / "plugins"
    made.mkdir(parents=True, mode=0o755)
    made.parent.chmod(0o755)
    shutil.copy(own_plugin(), made / "purgekit_backend_sqlite.so")
    (made / "purgekit_backend_sqlite.so").chmod(0o644)
    yield made
    made.parent.chmod(0o755)


class TestPlugins:
    def test_the_operators_own_is_used(self, folder: Path) -> None:
        plugin = folder / "purgekit_backend_sqlite.so"
        assert found(folder)[str(plugin)]["status"] == "ok"
        plugin.chmod(0o664)  # its group is the owner's decision
        assert found(folder)[str(plugin)]["status"] == "ok"

    def test_a_world_writable_library(self, folder: Path) -> None:
        plugin = folder / "purgekit_backend_sqlite.so"
        plugin.chmod(0o666)
        status = found(folder)[str(plugin)]["status"]
        assert "can be changed by every user" in status and "chmod o-w" in status

    @pytest.mark.parametrize("mode", [0o777, 0o1777])
    def test_a_world_writable_folder(self, folder: Path, mode: int) -> None:
        """Sticky or not: everybody may add a plugin to it."""
        folder.chmod(mode)
        entries = found(folder)
        assert "can be changed by every user" in entries[str(folder)]["status"]
        assert str(folder / "purgekit_backend_sqlite.so") not in entries

    def test_a_world_writable_folder_on_the_way(self, folder: Path) -> None:
        folder.parent.chmod(0o777)
        assert "can be changed by every user" in found(folder)[str(folder)]["status"]

    def test_a_strangers_library_and_folder(self, folder: Path) -> None:
        plugin = folder / "purgekit_backend_sqlite.so"
        give_to_a_stranger(plugin)
        assert f"belongs to user {NOBODY}" in found(folder)[str(plugin)]["status"]
        shutil.copy(own_plugin(), plugin.with_name("purgekit_backend_mine.so"))
        give_to_a_stranger(folder)
        assert f"belongs to user {NOBODY}" in found(folder)[str(folder)]["status"]

    def test_a_link_from_a_shared_folder(self, folder: Path, tmp_path: Path) -> None:
        """Where it leads is good; whoever owns the link can let it lead elsewhere."""
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o1777)
        link = shared / "purgekit_backend_linked.so"
        link.symlink_to(folder / "purgekit_backend_sqlite.so")
        assert loaded(link) == "sqlite\n"
        give_to_a_stranger(link)
        assert f"belongs to user {NOBODY}" in loaded(link)

    def test_a_named_path_is_held_to_the_same(self, folder: Path) -> None:
        plugin = folder / "purgekit_backend_sqlite.so"
        plugin.chmod(0o666)
        message = loaded(plugin)
        assert "is not loaded" in message and "chmod o-w" in message

    def test_a_refusal_is_told_before_another_serves_instead(self, folder: Path, tmp_path: Path) -> None:
        folder.chmod(0o777)
        done = cli("plan", f"sqlite:///{tmp_path}/absent.db", "wso2-is/sessions", PURGEKIT_PLUGIN_PATH=str(folder))
        assert done.returncode == 2
        assert f"plugin folder {folder} is not searched" in done.stderr

    def test_the_current_directory_is_searched_only_when_named(self, folder: Path) -> None:
        """Neither for plugins, nor for modules and entry points that shadow installed ones."""
        (folder / "typer.py").write_text("raise SystemExit('the current directory was searched')\n")
        info = folder / "evil-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[purgekit.backends]\nevil = typer:evil\n")
        for value in ("", os.pathsep):
            done = cli("backends", "--json", cwd=folder, PURGEKIT_PLUGIN_PATH=value)
            assert done.returncode == 0, done.stderr
            assert str(folder) not in done.stdout and "evil" not in done.stdout

    def test_neither_a_url_nor_a_policy_names_a_library(self, folder: Path, tmp_path: Path) -> None:
        plugin = folder / "purgekit_backend_sqlite.so"
        for url in (f"{plugin}://x", f"sqlite:///x.db?plugin={plugin}", f"sqlite+{plugin}:///x.db"):
            with pytest.raises(pk.PurgekitError):
                pk.connect(url)
        policy = tmp_path / "p.toml"
        policy.write_text(POLICY_TOML + f'plugin = "{plugin}"\n')
        with pytest.raises(pk.PolicyError, match="unknown key 'plugin'"):
            pk.load_policies(policy)


class TestPythonPolicies:
    def write(self, folder: Path) -> Path:
        path = folder / "policies.py"
        path.write_text(POLICY_PY)
        path.chmod(0o644)
        return path

    def refused(self, path: Path, match: str) -> None:
        marker = path.with_name("ran")
        path.write_text(POLICY_PY + f"import pathlib\npathlib.Path({str(marker)!r}).touch()\n")
        with pytest.raises(pk.PolicyError, match=match) as caught:
            pk.load_policies(f"{path}:p")
        assert caught.value.code == "untrusted_file"
        assert not marker.exists(), "it was run before it was refused"

    def test_the_operators_own_is_used(self, folder: Path) -> None:
        assert pk.load_policies(f"{self.write(folder)}:p")[0].name == "p"

    def test_world_writable(self, folder: Path) -> None:
        path = self.write(folder)
        path.chmod(0o646)
        self.refused(path, "can be changed by every user")

    def test_in_a_world_writable_folder(self, folder: Path) -> None:
        path = self.write(folder)
        folder.chmod(0o777)
        self.refused(path, "can be changed by every user")
        folder.chmod(0o1777)  # there nobody else can touch it
        assert pk.load_policies(f"{path}:p")

    def test_a_strangers(self, folder: Path) -> None:
        path = self.write(folder)
        path.chmod(0o646 if os.geteuid() else 0o644)
        give_to_a_stranger(path)
        self.refused(path, f"belongs to user {NOBODY}|can be changed")

    def test_the_command_exits_with_2_and_one_line(self, folder: Path) -> None:
        path = self.write(folder)
        path.chmod(0o666)
        done = cli("plan", "sqlite:///x.db", f"{path}:p")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert "is code and not run" in done.stderr


class TestTomlPolicies:
    """Warned of, because on many desktops and CI runners every file shows as writable by all and chmod does nothing."""

    def test_world_writable(self, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
        path = folder / "p.toml"
        path.write_text(POLICY_TOML)
        path.chmod(0o644)
        with caplog.at_level(logging.WARNING, "purgekit"):
            assert pk.load_policies(path)
            assert not caplog.records
            path.chmod(0o666)
            assert pk.load_policies(path)
        assert "decides what is deleted" in caplog.text and "chmod o-w" in caplog.text

    def test_raw_sql_is_held_to_what_code_is(self, folder: Path) -> None:
        path = folder / "p.toml"
        path.write_text(SQL_TOML)
        path.chmod(0o644)
        assert pk.load_policies(path)
        path.chmod(0o666)
        with pytest.raises(pk.PolicyError, match=r"raw sql.*trusted like code"):
            pk.load_policies(path)

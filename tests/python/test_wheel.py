"""What an installed purgekit holds: everything it runs with, and all that authors of backends need."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

import purgekit as pk

PACKAGE = Path(pk.get_include()).parent
PLUGINS = sorted((PACKAGE / "plugins").glob("*.so"))
HEADERS = PACKAGE / "include" / "purgekit"
REPOSITORY = Path(__file__).resolve().parents[2]
NAMES = [path.stem for path in PLUGINS]


def tool(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True, check=True).stdout


@pytest.fixture(scope="module")
def files() -> set[PurePosixPath]:
    """The wheel's own list of its files, each of which is there."""
    distribution = importlib.metadata.distribution("purgekit")
    assert distribution.files, "purgekit is not installed from a wheel here: run sh tests/run.sh"
    assert not [path for path in distribution.files if not Path(str(distribution.locate_file(path))).exists()]
    return {PurePosixPath(path) for path in distribution.files if path.parts[0] == "purgekit"}


def test_the_engine_its_stub_and_the_marker_of_types(files: set[PurePosixPath]) -> None:
    names = {path.name for path in files if len(path.parts) == 2}
    assert [name for name in names if re.fullmatch(r"_core\..*\.so", name)]
    assert {"_core.pyi", "py.typed", "__init__.py"} <= names


@pytest.mark.parametrize("name", ["sqlite", "postgresql", "mysql"])
def test_every_backend(files: set[PurePosixPath], name: str) -> None:
    assert PurePosixPath(f"purgekit/plugins/purgekit_backend_{name}.so") in files
    statuses = {entry["name"]: entry["status"] for entry in pk.backends()}
    assert statuses[name] == "ok"


def test_the_template_is_no_backend_for_users() -> None:
    assert "purgekit_backend_null" not in NAMES


def test_headers_of_the_line_and_of_the_sdk_and_no_others(files: set[PurePosixPath]) -> None:
    own = REPOSITORY / "cpp" / "include" / "purgekit"
    line = {"abi.h", "abi_error.h", "abi_predicate.h", "sdk.hpp"}
    wanted = line | {f"sdk/{path.name}" for path in (own / "sdk").glob("*.hpp")}
    root = PurePosixPath("purgekit/include/purgekit")
    assert {str(path.relative_to(root)) for path in files if path.is_relative_to(root)} == wanted
    for name in wanted:
        same = (HEADERS / name).read_bytes() == (own / name).read_bytes()
        assert same, f"{name}: the installed purgekit is another build"


def test_the_cmake_package(files: set[PurePosixPath]) -> None:
    names = {path.name for path in files if path.parent == PurePosixPath("purgekit/cmake")}
    assert {"purgekitConfig.cmake", "purgekitConfigVersion.cmake", "purgekitTargets.cmake"} <= names
    assert {"purgekit_add_backend.cmake", "purgekit_backend.map"} <= names
    assert Path(pk.get_cmake_dir(), "purgekitConfig.cmake").is_file()
    for path in Path(pk.get_cmake_dir()).glob("*.cmake"):
        assert str(REPOSITORY) not in path.read_text(), f"{path.name} holds a path of the machine it was built on"


def test_build_backends_find_the_cmake_package_by_its_entry_point() -> None:
    (point,) = importlib.metadata.entry_points(group="cmake.root", name="purgekit")
    assert importlib.resources.files(point.load()).joinpath("purgekitConfig.cmake").is_file()


def test_nothing_that_has_no_business_there(files: set[PurePosixPath]) -> None:
    assert not [path for path in files if path.suffix in {".sh", ".a", ".o", ".cpp"}]
    assert not [path for path in files if "tests" in path.parts]


def test_the_conformance_suite_is_shipped(files: set[PurePosixPath]) -> None:
    assert PurePosixPath("purgekit/testing/suite.py") in files


@pytest.mark.parametrize("plugin", PLUGINS, ids=NAMES)
def test_a_plugin_exports_its_entry_symbol_only(plugin: Path) -> None:
    lines = tool("nm", "--dynamic", "--defined-only", "--extern-only", plugin).splitlines()
    assert [line.split()[-1] for line in lines] == ["purgekit_backend_init"]


@pytest.mark.parametrize("plugin", PLUGINS, ids=NAMES)
def test_a_plugin_looks_for_its_libraries_beside_itself_first(plugin: Path) -> None:
    dynamic = tool("readelf", "--dynamic", "--wide", plugin)
    assert re.findall(r"\((?:RUNPATH|RPATH)\).*\[(.*)\]", dynamic) == ["$ORIGIN"]


@pytest.mark.parametrize("plugin", PLUGINS, ids=NAMES)
def test_a_plugin_needs_nothing_of_the_engine(plugin: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", tool("readelf", "--dynamic", "--wide", plugin))
    assert not [name for name in needed if "purgekit" in name or "python" in name or "_core" in name]


def test_the_engine_shows_nothing_but_its_module() -> None:
    (core,) = PACKAGE.glob("_core.*.so")
    lines = tool("nm", "--dynamic", "--defined-only", "--extern-only", core).splitlines()
    shown = [line.split()[-1] for line in lines]
    assert "PyInit__core" in shown
    assert not [name for name in shown if "sqlite3_" in name or "pqxx" in name]

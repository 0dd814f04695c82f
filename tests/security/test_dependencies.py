"""CHANGELOG's tables of dependencies are complete, and the licences are those that the packages themselves declare."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import pytest

from purgekit.policyfile import tomllib

ROOT = Path(__file__).resolve().parents[2]
# Names in CMake, and in the tables.
NATIVE = {
    "SQLITE3": "SQLite",
    "PQXX": "libpqxx",
    "PQ": "libpq",
    "cppconn": "MySQL Connector/C++",
    "spdlog": "spdlog",
    "nlohmann_json": "nlohmann-json",
    "pybind11": "pybind11",
    "ZSTD": "zstd",
    "OpenSSL": "OpenSSL libcrypto",
}
# Found by CMake, and nobody's dependency: ourselves, the system, the tests' own.
NOT_LISTED = {"purgekit", "Threads", "Python", "GTest", "PkgConfig"}


def tables() -> dict[str, str]:
    """Package to licence."""
    text = (ROOT / "CHANGELOG.md").read_text().partition("### Dependencies")[2]
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    rows = [[cell.strip() for cell in line] for line in lines]
    return {row[0]: row[-1] for row in rows if row[0] != "what"}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found
    return found[0]


def project() -> dict[str, Any]:
    read: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    return read


def pinned() -> list[str]:
    lines = (ROOT / "tests" / "requirements.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_python_package_is_listed() -> None:
    wanted = [*project()["project"]["dependencies"], *project()["build-system"]["requires"], *pinned()]
    assert {name_of(requirement) for requirement in wanted} <= set(tables())


def test_nothing_is_listed_that_is_not_used() -> None:
    wanted = [*project()["project"]["dependencies"], *project()["build-system"]["requires"], *pinned()]
    assert set(tables()) == {name_of(requirement) for requirement in wanted} | set(NATIVE.values())


def test_every_native_library_is_listed() -> None:
    files = [path for folder in ("cpp", "plugins", "tests/cpp") for path in (ROOT / folder).rglob("CMakeLists.txt")]
    text = "\n".join(path.read_text() for path in [ROOT / "CMakeLists.txt", *files])
    asked = set(re.findall(r"find_package\((\w+)", text))
    asked |= set(re.findall(r"pkg_check_modules\((\w+)", text)) | set(re.findall(r"\b(cppconn)/driver\.h", text))
    assert asked - NOT_LISTED == set(NATIVE)


def test_what_tests_use_is_pinned_and_what_users_get_has_a_lowest_version() -> None:
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pinned()), pinned()
    assert all(re.search(r">=\d", line) for line in project()["project"]["dependencies"])
    assert all(re.search(r">=\d", line) for line in project()["build-system"]["requires"])


def declared(name: str) -> str:
    """All that a package says about its licence."""
    metadata = importlib.metadata.metadata(name)
    kinds = [kind for kind in metadata.get_all("Classifier") or [] if kind.startswith("License")]
    return " ".join([*(metadata.get_all("License-Expression") or []), *(metadata.get_all("License") or []), *kinds])


@pytest.mark.parametrize("name", sorted(set(tables()) - set(NATIVE.values()) - {"scikit-build-core"}))
def test_licences_are_those_declared(name: str) -> None:
    try:
        says = declared(name)
    except importlib.metadata.PackageNotFoundError:
        requirements = [line for line in project()["project"]["dependencies"] if name_of(line) == name]
        assert requirements and "python_version" in requirements[0], f"{name} is not installed"
        return
    word = tables()[name].partition("-")[0]
    assert re.search(rf"\b{word}\b", says), f"CHANGELOG says {tables()[name]}, {name} says {says[:200]}"

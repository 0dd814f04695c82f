"""Where backends are looked for, and the list of those found."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from purgekit import _core
from purgekit.text import printable

if TYPE_CHECKING:
    from purgekit.backend_api import Backend

_failed: list[dict[str, Any]] = []
_looked = False


def find_backends() -> None:
    """Look for backends, once a process: ``PURGEKIT_PLUGIN_PATH``, the package's own, then entry points."""
    global _looked
    if _looked:
        return
    _looked = True
    own_path = os.environ.get("PURGEKIT_PLUGIN_PATH", "")
    places = [("PURGEKIT_PLUGIN_PATH", folder) for folder in own_path.split(os.pathsep) if folder]
    places.append(("purgekit", str(Path(__file__).parent / "plugins")))
    _core.find_backends(places)
    _load_entry_points()


def backends() -> list[dict[str, Any]]:
    """All backends found: name, version, abi, source, schemes, and status: ``ok`` or why it was refused."""
    find_backends()
    return _core.backends() + _failed


def load_backend(path: str | os.PathLike[str]) -> str:
    """Load a backend's library from an explicit path; its name. PurgekitError tells why it was refused."""
    return _core.load_backend(os.fspath(path))


def register_backend(backend: Backend) -> None:
    """Make a backend written in Python known under its name and URL schemes."""
    _core.register_python_backend(backend)


def get_include() -> str:
    """The folder of the C and C++ headers that a backend is compiled with."""
    return str(Path(__file__).parent / "include")


def get_cmake_dir() -> str:
    """The folder of the CMake package: ``cmake -Dpurgekit_DIR=…`` makes ``find_package(purgekit CONFIG)`` find it."""
    return str(Path(__file__).parent / "cmake")


def _load_entry_points() -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group="purgekit.backends"):
        try:
            found = point.load()
            _core.register_python_backend(found() if isinstance(found, type) else found)
        except Exception as error:  # a broken third-party package must not take the others along
            _failed.append(
                {
                    "name": point.name,
                    "version": "",
                    "abi": "",
                    "source": f"entry point {point.value}",
                    "schemes": [],
                    "status": f"{type(error).__name__}: {printable(error)}",
                }
            )

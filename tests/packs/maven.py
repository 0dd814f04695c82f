"""Pinned jars from Maven Central, without Maven: bare systems don't have it.

``MAVEN_CENTRAL`` names a mirror, where Central can't be reached. Proxies and certificates follow the environment.
"""

from __future__ import annotations

import hashlib
import os
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from packs.products import CACHE, ProductFailed

CENTRAL = "https://repo1.maven.org/maven2"
TIMEOUT_S = 120


def jars(pinned: Mapping[str, str]) -> list[Path]:
    """Files of artifacts, given as their folders in the repository with the SHA-256 of the jar."""
    return [_jar(folder, digest) for folder, digest in pinned.items()]


def _jar(folder: str, digest: str) -> Path:
    artifact, version = folder.split("/")[-2:]
    file = CACHE / "maven" / f"{artifact}-{version}.jar"  # may also be put there by hand
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        address = f"{os.environ.get('MAVEN_CENTRAL', CENTRAL).rstrip('/')}/{folder}/{file.name}"
        try:
            with urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer:
                content = answer.read()
        except OSError as error:
            raise ProductFailed(
                f"cannot fetch {address}: {error}. Set MAVEN_CENTRAL to a mirror that can be reached, or put the "
                f"file at {file}; `--quick` does without."
            ) from error
        # Aside and renamed: another run never sees half of it.
        aside = file.with_suffix(f".{os.getpid()}")
        aside.write_bytes(content)
        aside.rename(file)
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != digest:
        raise ProductFailed(f"{file} is not the file expected: SHA-256 {found} instead of {digest}")
    return file

"""A certificate authority of the tests' own, and certificates good and bad."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

# The old dates make "expired" true on every clock that this suite runs under.
EXPIRED = ("20200101000000Z", "20210101000000Z")
VALID = ("20240101000000Z", "20990101000000Z")

CONFIG = """
[ca]
default_ca = here
[here]
dir = {folder}
database = {folder}/index.txt
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = anything
unique_subject = no
copy_extensions = copy
[anything]
commonName = supplied
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """Signs certificates for servers and clients; ``certificate`` is what those trust who trust it."""

    def __init__(self, folder: Path, name: str) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        (folder / "index.txt").touch()
        (folder / "serial").write_text("1000\n")
        (folder / "config").write_text(CONFIG.format(folder=folder))
        self.certificate = folder / "ca.crt"
        self._key = folder / "ca.key"
        usage = ("-addext", "keyUsage=critical,keyCertSign,cRLSign")
        _self_signed(self.certificate, self._key, name, "-addext", "basicConstraints=critical,CA:TRUE", *usage)

    def pair(self, label: str, *, name: str, hosts: str = "", dates: tuple[str, str] = VALID) -> Pair:
        """A signed pair. ``hosts``: the subject's alternative names, such as ``IP:127.0.0.1``."""
        made = Pair(self.folder / f"{label}.crt", self.folder / f"{label}.key")
        request = self.folder / f"{label}.csr"
        alternatives = ("-addext", f"subjectAltName={hosts}") if hosts else ()
        _openssl(
            *("req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", made.key, "-out", request),
            *("-subj", f"/CN={name}", *alternatives),
        )
        _openssl(
            *("ca", "-batch", "-notext", "-config", self.folder / "config", "-cert", self.certificate),
            *("-keyfile", self._key, "-startdate", dates[0], "-enddate", dates[1], "-in", request),
            *("-out", made.certificate),
        )
        made.key.chmod(0o600)
        return made


def self_signed(folder: Path, label: str, *, name: str, hosts: str) -> Pair:
    """A certificate that vouches for itself."""
    made = Pair(folder / f"{label}.crt", folder / f"{label}.key")
    _self_signed(made.certificate, made.key, name, "-addext", f"subjectAltName={hosts}")
    made.key.chmod(0o600)
    return made


def _self_signed(certificate: Path, key: Path, name: str, *extensions: str) -> None:
    _openssl(
        *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", f"/CN={name}"),
        *("-keyout", key, "-out", certificate),
        *extensions,
    )


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(
        ["openssl", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

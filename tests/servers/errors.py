"""What can be wrong with a test server before any test begins."""

from __future__ import annotations


class ServerMissing(RuntimeError):
    """The database server is not installed. Never a reason to skip: the caller must hear of it."""

    def __init__(self, what: str, package: str) -> None:
        super().__init__(
            f"{what} is not installed. `sh tests/run.sh` installs it "
            f"(or: apt-get install {package}); `--quick` tests SQLite only."
        )


class ServerFailed(RuntimeError):
    """The server is installed but does not start; the end of its log is in the message."""

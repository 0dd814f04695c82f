"""What purgekit raises. The native engine raises these classes too."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from purgekit.redaction import without_passwords
from purgekit.text import printable

if TYPE_CHECKING:
    from purgekit.report import Report
    from purgekit.restoring import RestoreReport


class PurgekitError(Exception):
    """Any refusal or failure: one line that names the offender and the way out.

    Attributes:
        code: short stable name, such as ``"not_found"`` or ``"lock_timeout"``.
        retryable: whether the same call may succeed when made again.
        table: the table concerned, if any.
        policy: the policy concerned, if any.
    """

    default_code = "error"

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        retryable: bool = False,
        table: str | None = None,
        policy: str | None = None,
    ) -> None:
        # A traceback prints it as it is, and names in it may come from a database.
        super().__init__(printable(without_passwords(message)))
        self.code = code or self.default_code
        self.retryable = retryable
        self.table = table
        self.policy = policy

    @property
    def message(self) -> str:
        """The line for people."""
        return str(self.args[0])

    def __reduce__(self) -> tuple[Any, ...]:
        # Keyword arguments would get lost on the way through pickle (process pools, Airflow).
        make = partial(type(self), code=self.code, retryable=self.retryable, table=self.table, policy=self.policy)
        return make, self.args, self.__dict__


class PolicyError(PurgekitError):
    """A policy or one of its parameters can't be used as written."""

    default_code = "policy"


class ConnectionFailed(PurgekitError):  # noqa: N818 - says what happened
    """No connection: wrong URL, unreachable server, refused login or TLS."""

    default_code = "connect_failed"


class PurgeRefused(PurgekitError):  # noqa: N818 - says what happened
    """A check before the first delete failed: nothing was changed."""

    default_code = "refused"


class ArchiveError(PurgekitError):
    """An archive file, a manifest or an export of one can't be read or written as it is.

    ``code`` tells which: ``"archive_damaged"``, ``"archive_newer"`` (of a later version), ``"archive_foreign"`` (no
    archive at all), ``"archive_limit"`` (larger than the reader may take), ``"archive_io"`` (a file can't be had).
    """

    default_code = "archive_damaged"


class EvidenceError(PurgekitError):
    """A file of evidence, or a key to one, can't be read.

    ``code`` tells which: ``"evidence_foreign"`` (no evidence at all), ``"evidence_newer"`` (of a later version),
    ``"evidence_io"`` (a file can't be had), ``"evidence_key"``, ``"evidence_root"``, ``"evidence_before"``. That
    evidence was changed is no error: ``verify`` says so.
    """

    default_code = "evidence_foreign"


class PurgeFailed(PurgekitError):  # noqa: N818 - says what happened
    """It failed part-way. What was done is committed and in ``report`` or ``restored``; running again goes on."""

    default_code = "failed"
    report: Report | None = None
    restored: RestoreReport | None = None

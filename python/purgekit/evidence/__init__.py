"""Evidence of what runs deleted: taken out of the ledger, and verified without a database.

A run's evidence is a file of JSON lines: a header, then each link with its hash. A link names the hash of the one
before, so that none can be changed, left out, added or moved without its successors telling. README says what that
proves, and what it does not.
"""

from purgekit.errors import EvidenceError
from purgekit.evidence.export import Evidence
from purgekit.evidence.verify import Verdict, verify

__all__ = ["Evidence", "EvidenceError", "Verdict", "verify"]

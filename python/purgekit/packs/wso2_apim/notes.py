"""What to do in the product and around the first purge."""

from purgekit.packs.wso2_is.notes import NOTE as IDENTITY_NOTE

NOTE = f"""\
{IDENTITY_NOTE}

API MANAGER keeps tokens in its API database and the registry in a shared one, so run the pack on each; what is not
there is passed over. The vendor tells to stop the server and to drop foreign keys before cleaning the registry:
neither is needed here. Run registry-codes before registry-orphans, as in the pack's order: what the one unlinks, the
other takes. Tokens per user store: see partition above."""

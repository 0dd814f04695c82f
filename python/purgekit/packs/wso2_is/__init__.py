"""Runtime tables of WSO2 Identity Server. One module for each group of tables."""

from purgekit.packs.model import Pack
from purgekit.packs.wso2_is import codes, identity, orphans, revocations, sessions, stores, tokens
from purgekit.packs.wso2_is.notes import NOTE

SESSION_POLICIES = (*sessions.POLICIES, *orphans.POLICIES)
# Codes go after their tokens, flows after their codes: what one policy frees, the next one takes.
TOKEN_POLICIES = (tokens.TOKENS, *codes.POLICIES, *revocations.POLICIES)
POLICIES = (*SESSION_POLICIES, *TOKEN_POLICIES, *identity.POLICIES, *stores.POLICIES)

PACK = Pack("wso2-is", "WSO2 Identity Server: sessions, tokens, codes, recovery, workflows", POLICIES, NOTE)

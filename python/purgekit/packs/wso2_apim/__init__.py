"""Runtime tables of WSO2 API Manager: sessions and tokens as in Identity Server, and the registry."""

from purgekit.packs.model import Pack
from purgekit.packs.wso2_apim import registry
from purgekit.packs.wso2_apim.notes import NOTE
from purgekit.packs.wso2_is import SESSION_POLICIES, TOKEN_POLICIES

PACK = Pack(
    "wso2-apim",
    "WSO2 API Manager: sessions, tokens, codes, registry",
    (*SESSION_POLICIES, *TOKEN_POLICIES, *registry.POLICIES),
    NOTE,
)

"""Runtime tables of WSO2 Identity Server. One module for each group of tables."""

from purgekit.packs.model import Pack
from purgekit.packs.wso2_is import sessions

PACK = Pack("wso2-is", "WSO2 Identity Server: sessions", (sessions.SESSIONS,))

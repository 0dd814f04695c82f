"""Runtime tables of WSO2 products as the tests make them: its names and types, in our own words, on every database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from engine.tables import mark
from servers import Connection

NOW = "2024-05-06T07:08:09Z"
NOW_AT = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc)
NOW_S = int(NOW_AT.timestamp())
HOUR_S = 3_600
DAY_S = 86_400
GRACE_S = 2 * HOUR_S

Row = Mapping[str, Any]

_STORE = (
    "SESSION_ID VARCHAR(100) NOT NULL, SESSION_TYPE VARCHAR(100) NOT NULL, OPERATION VARCHAR(10) NOT NULL,"
    " SESSION_OBJECT {blob}, TIME_CREATED BIGINT NOT NULL, TENANT_ID INTEGER DEFAULT -1, EXPIRY_TIME BIGINT,"
    " PRIMARY KEY (SESSION_ID, SESSION_TYPE, TIME_CREATED, OPERATION)"
)
_TOKEN = (
    "TOKEN_ID VARCHAR(255) PRIMARY KEY, ACCESS_TOKEN VARCHAR(2048), REFRESH_TOKEN VARCHAR(2048),"
    " CONSUMER_KEY_ID INTEGER, AUTHZ_USER VARCHAR(100), TENANT_ID INTEGER, GRANT_TYPE VARCHAR(50),"
    " TIME_CREATED {time}, REFRESH_TOKEN_TIME_CREATED {time}, VALIDITY_PERIOD BIGINT,"
    " REFRESH_TOKEN_VALIDITY_PERIOD BIGINT, TOKEN_STATE VARCHAR(25) DEFAULT 'ACTIVE', IDP_ID INTEGER DEFAULT -1"
)
_REGISTRY_LINK = "FOREIGN KEY ({0}, REG_TENANT_ID) REFERENCES {1} ({2}, REG_TENANT_ID)"


def _child(columns: str, parent: str, column: str = "TOKEN_ID", refers_to: str = "") -> str:
    return f"{columns}, FOREIGN KEY ({column}) REFERENCES {parent} ({refers_to or column}) ON DELETE CASCADE"


# Parents before their children.
TABLES = {
    "IDN_AUTH_SESSION_STORE": _STORE,
    "IDN_AUTH_TEMP_SESSION_STORE": _STORE,
    "IDN_AUTH_SESSION_APP_INFO": "SESSION_ID VARCHAR(100), SUBJECT VARCHAR(100), APP_ID INTEGER,"
    " PRIMARY KEY (SESSION_ID, SUBJECT, APP_ID)",
    "IDN_AUTH_SESSION_META_DATA": "SESSION_ID VARCHAR(100), PROPERTY_TYPE VARCHAR(100), VALUE VARCHAR(255),"
    " PRIMARY KEY (SESSION_ID, PROPERTY_TYPE, VALUE)",
    "IDN_AUTH_USER_SESSION_MAPPING": "ID INTEGER PRIMARY KEY, USER_ID VARCHAR(255), SESSION_ID VARCHAR(255),"
    " UNIQUE (USER_ID, SESSION_ID)",
    "IDN_FED_AUTH_SESSION_MAPPING": "ID INTEGER PRIMARY KEY, IDP_SESSION_ID VARCHAR(255), SESSION_ID VARCHAR(255),"
    " TIME_CREATED {time}",
    "IDN_OAUTH_CONSUMER_APPS": "ID INTEGER PRIMARY KEY, CONSUMER_KEY VARCHAR(255), TENANT_ID INTEGER,"
    " USER_ACCESS_TOKEN_EXPIRE_TIME BIGINT, APP_ACCESS_TOKEN_EXPIRE_TIME BIGINT",
    "IDN_OAUTH2_ACCESS_TOKEN": _TOKEN,
    "IDN_OAUTH2_ACCESS_TOKEN_SCOPE": _child(
        "TOKEN_ID VARCHAR(255), TOKEN_SCOPE VARCHAR(60), TENANT_ID INTEGER DEFAULT -1,"
        " PRIMARY KEY (TOKEN_ID, TOKEN_SCOPE)",
        "IDN_OAUTH2_ACCESS_TOKEN",
    ),
    "IDN_OAUTH2_TOKEN_BINDING": _child(
        "TOKEN_ID VARCHAR(255), TOKEN_BINDING_TYPE VARCHAR(32), TOKEN_BINDING_VALUE VARCHAR(100)",
        "IDN_OAUTH2_ACCESS_TOKEN",
    ),
    "IDN_OAUTH2_AUTHORIZATION_CODE": "CODE_ID VARCHAR(255) PRIMARY KEY, AUTHORIZATION_CODE VARCHAR(2048),"
    " CONSUMER_KEY_ID INTEGER, TIME_CREATED {time}, VALIDITY_PERIOD BIGINT, STATE VARCHAR(25) DEFAULT 'ACTIVE',"
    " TOKEN_ID VARCHAR(255)",
    "IDN_OAUTH2_AUTHZ_CODE_SCOPE": _child(
        "CODE_ID VARCHAR(255), SCOPE VARCHAR(60), PRIMARY KEY (CODE_ID, SCOPE)",
        "IDN_OAUTH2_AUTHORIZATION_CODE",
        "CODE_ID",
    ),
    "IDN_OIDC_REQ_OBJECT_REFERENCE": _child(
        _child(
            "ID INTEGER PRIMARY KEY, CONSUMER_KEY_ID INTEGER, CODE_ID VARCHAR(255), TOKEN_ID VARCHAR(255),"
            " SESSION_DATA_KEY VARCHAR(255)",
            "IDN_OAUTH2_ACCESS_TOKEN",
        ),
        "IDN_OAUTH2_AUTHORIZATION_CODE",
        "CODE_ID",
    ),
    "IDN_OIDC_REQ_OBJECT_CLAIMS": _child(
        "ID INTEGER PRIMARY KEY, REQ_OBJECT_ID INTEGER, CLAIM_ATTRIBUTE VARCHAR(255)",
        "IDN_OIDC_REQ_OBJECT_REFERENCE",
        "REQ_OBJECT_ID",
        "ID",
    ),
    "IDN_OIDC_REQ_OBJ_CLAIM_VALUES": _child(
        "ID INTEGER PRIMARY KEY, REQ_OBJECT_CLAIMS_ID INTEGER, CLAIM_VALUES VARCHAR(255)",
        "IDN_OIDC_REQ_OBJECT_CLAIMS",
        "REQ_OBJECT_CLAIMS_ID",
        "ID",
    ),
    # Without a key, as older schemas have it on the servers; MySQL and MariaDB walk along one.
    "IDN_OAUTH2_ACCESS_TOKEN_AUDIT": "ID INTEGER PRIMARY KEY, "
    + _TOKEN.replace(" PRIMARY KEY", "")
    + ", INVALIDATED_TIME {time}",
    "IDN_OAUTH2_CIBA_AUTH_CODE": "AUTH_CODE_KEY CHAR(36) PRIMARY KEY, AUTH_REQ_ID VARCHAR(255), ISSUED_TIME {time},"
    " EXPIRES_IN INTEGER, AUTH_REQ_STATUS VARCHAR(255)",
    "IDN_OAUTH2_CIBA_REQUEST_SCOPES": _child(
        "AUTH_CODE_KEY CHAR(36), SCOPE VARCHAR(60)", "IDN_OAUTH2_CIBA_AUTH_CODE", "AUTH_CODE_KEY"
    ),
    "IDN_OAUTH2_DEVICE_FLOW": "CODE_ID VARCHAR(255) UNIQUE, DEVICE_CODE VARCHAR(255) PRIMARY KEY,"
    " USER_CODE VARCHAR(25), EXPIRY_TIME {time}, TIME_CREATED {time}, STATUS VARCHAR(25) DEFAULT 'PENDING'",
    "IDN_OAUTH2_DEVICE_FLOW_SCOPES": _child(
        "ID INTEGER PRIMARY KEY, SCOPE_ID VARCHAR(255), SCOPE VARCHAR(255)",
        "IDN_OAUTH2_DEVICE_FLOW",
        "SCOPE_ID",
        "CODE_ID",
    ),
    "IDN_OAUTH_PAR": "REQ_URI_REF VARCHAR(255) PRIMARY KEY, CLIENT_ID VARCHAR(255), SCHEDULED_EXPIRY BIGINT",
    "IDN_OAUTH2_REFRESH_TOKEN": "REFRESH_TOKEN_ID VARCHAR(255) PRIMARY KEY, REFRESH_TOKEN VARCHAR(2048),"
    " REFRESH_TOKEN_TIME_CREATED {time}, REFRESH_TOKEN_VALIDITY_PERIOD BIGINT, TOKEN_STATE VARCHAR(25)",
    "IDN_OAUTH2_REFRESH_TOKEN_SCOPE": _child(
        "REFRESH_TOKEN_ID VARCHAR(255), TOKEN_SCOPE VARCHAR(60)", "IDN_OAUTH2_REFRESH_TOKEN", "REFRESH_TOKEN_ID"
    ),
    "IDN_OAUTH2_REVOKED_TOKENS": "UUID CHAR(36) PRIMARY KEY, TOKEN_IDENTIFIER VARCHAR(2048), TIME_CREATED {time},"
    " EXPIRY_TIMESTAMP {time}",
    "IDN_SUBJECT_ENTITY_REVOKED_EVENT": "EVENT_ID CHAR(36) PRIMARY KEY, ENTITY_ID VARCHAR(255), TIME_REVOKED {time},"
    " TENANT_ID INTEGER",
    "IDN_OIDC_JTI": "JWT_ID VARCHAR(255), TENANT_ID INTEGER DEFAULT -1, EXP_TIME {time}, TIME_CREATED {time},"
    " PRIMARY KEY (JWT_ID, TENANT_ID)",
    "IDN_VC_NONCE": "TENANT_ID INTEGER, NONCE_VALUE VARCHAR(255) PRIMARY KEY, TIME_CREATED {time}, EXPIRY_TIME {time}",
    "IDN_RECOVERY_FLOW_DATA": "RECOVERY_FLOW_ID VARCHAR(255) PRIMARY KEY, CODE VARCHAR(255), TIME_CREATED {time}",
    "IDN_RECOVERY_DATA": _child(
        "USER_NAME VARCHAR(100), USER_DOMAIN VARCHAR(100), TENANT_ID INTEGER, SCENARIO VARCHAR(100),"
        " STEP VARCHAR(100), CODE VARCHAR(255) UNIQUE, TIME_CREATED {time}, RECOVERY_FLOW_ID VARCHAR(255),"
        " PRIMARY KEY (USER_NAME, USER_DOMAIN, TENANT_ID, SCENARIO, STEP)",
        "IDN_RECOVERY_FLOW_DATA",
        "RECOVERY_FLOW_ID",
    ),
    "IDN_FLOW_CONTEXT_STORE": "ID VARCHAR(255) PRIMARY KEY, TENANT_ID INTEGER, FLOW_TYPE VARCHAR(255),"
    " CREATED_AT {time}, EXPIRES_AT {time}",
    "WF_REQUEST": "UUID VARCHAR(45) PRIMARY KEY, STATUS VARCHAR(30), CREATED_AT {time}, UPDATED_AT {time}",
    "WF_REQUEST_ENTITY_RELATIONSHIP": _child(
        "REQUEST_ID VARCHAR(45), ENTITY_NAME VARCHAR(100), PRIMARY KEY (REQUEST_ID, ENTITY_NAME)",
        "WF_REQUEST",
        "REQUEST_ID",
        "UUID",
    ),
    "WF_WORKFLOW_REQUEST_RELATION": _child(
        "RELATIONSHIP_ID VARCHAR(45) PRIMARY KEY, REQUEST_ID VARCHAR(45)", "WF_REQUEST", "REQUEST_ID", "UUID"
    ),
    "IDP_AUTHENTICATOR_PROPERTY": "ID INTEGER PRIMARY KEY, PROPERTY_KEY VARCHAR(255), PROPERTY_VALUE VARCHAR(255)",
    "IDN_ACTION": "UUID CHAR(36) PRIMARY KEY, TYPE VARCHAR(50), NAME VARCHAR(255)",
    "IDN_SAML2_ASSERTION_STORE": "ID INTEGER PRIMARY KEY, SAML2_ID VARCHAR(255), SAML2_ISSUER VARCHAR(255),"
    " SAML2_SUBJECT VARCHAR(255)",
    "IDN_SAML2_ARTIFACT_STORE": "ID INTEGER PRIMARY KEY, SOURCE_ID VARCHAR(255), EXP_TIMESTAMP {time}",
    "IDN_STS_STORE": "ID INTEGER PRIMARY KEY, TOKEN_ID VARCHAR(255), EXPIRE_DATE {time}, STATE INTEGER DEFAULT 0",
    "IDN_AUTH_WAIT_STATUS": "ID INTEGER PRIMARY KEY, LONG_WAIT_KEY VARCHAR(255), TIME_CREATED {time},"
    " EXPIRE_TIME {time}",
    "IDN_VP_SESSION_STORE": "SESSION_ID VARCHAR(100) PRIMARY KEY, CREATED_AT BIGINT, EXPIRES_AT BIGINT",
    "REG_LOG": "REG_LOG_ID INTEGER, REG_PATH VARCHAR(750), REG_LOGGED_TIME {time}, REG_ACTION INTEGER NOT NULL,"
    " REG_TENANT_ID INTEGER DEFAULT 0, PRIMARY KEY (REG_LOG_ID, REG_TENANT_ID)",
    "REG_PATH": "REG_PATH_ID INTEGER, REG_PATH_VALUE VARCHAR(750), REG_TENANT_ID INTEGER DEFAULT 0,"
    " PRIMARY KEY (REG_PATH_ID, REG_TENANT_ID)",
    "REG_CONTENT": "REG_CONTENT_ID INTEGER, REG_CONTENT_DATA {blob}, REG_TENANT_ID INTEGER DEFAULT 0,"
    " PRIMARY KEY (REG_CONTENT_ID, REG_TENANT_ID)",
    "REG_RESOURCE": "REG_PATH_ID INTEGER, REG_NAME VARCHAR(256), REG_VERSION INTEGER, REG_CONTENT_ID INTEGER,"
    " REG_TENANT_ID INTEGER DEFAULT 0, PRIMARY KEY (REG_VERSION, REG_TENANT_ID), "
    + _REGISTRY_LINK.format("REG_PATH_ID", "REG_PATH", "REG_PATH_ID")
    + ", "
    + _REGISTRY_LINK.format("REG_CONTENT_ID", "REG_CONTENT", "REG_CONTENT_ID"),
    "REG_RESOURCE_HISTORY": "REG_PATH_ID INTEGER, REG_VERSION INTEGER, REG_CONTENT_ID INTEGER,"
    " REG_TENANT_ID INTEGER DEFAULT 0, PRIMARY KEY (REG_VERSION, REG_TENANT_ID)",
    "REG_PROPERTY": "REG_ID INTEGER, REG_NAME VARCHAR(100), REG_VALUE VARCHAR(1000),"
    " REG_TENANT_ID INTEGER DEFAULT 0, PRIMARY KEY (REG_ID, REG_TENANT_ID)",
    "REG_RESOURCE_PROPERTY": "REG_PROPERTY_ID INTEGER, REG_VERSION INTEGER, REG_TENANT_ID INTEGER DEFAULT 0,"
    " PRIMARY KEY (REG_PROPERTY_ID, REG_VERSION, REG_TENANT_ID), "
    + _REGISTRY_LINK.format("REG_PROPERTY_ID", "REG_PROPERTY", "REG_ID"),
    "REG_TAG": "REG_ID INTEGER, REG_TAG_NAME VARCHAR(500), REG_TENANT_ID INTEGER DEFAULT 0,"
    " PRIMARY KEY (REG_ID, REG_TENANT_ID)",
    "REG_RESOURCE_TAG": "REG_TAG_ID INTEGER, REG_VERSION INTEGER, REG_TENANT_ID INTEGER DEFAULT 0,"
    " PRIMARY KEY (REG_TAG_ID, REG_VERSION, REG_TENANT_ID), "
    + _REGISTRY_LINK.format("REG_TAG_ID", "REG_TAG", "REG_ID"),
}


def at(offset_s: int | None) -> str | None:
    """The time of day in UTC so many seconds from the tests' now, as it stands in a column; None: NULL."""
    return None if offset_s is None else f"{NOW_AT + timedelta(seconds=offset_s):%Y-%m-%d %H:%M:%S}"


class Tables:
    """Tables of the product in one database, through an independent driver."""

    def __init__(self, url: str, connection: Connection) -> None:
        self.url = url
        self.cursor = connection.cursor()
        self.is_mysql = url.startswith(("mysql", "mariadb"))

    def make(self, *names: str, suffix: str = "") -> None:
        """Create these tables, in the order of TABLES, with ``suffix`` behind their names."""
        kinds = {"time": "TIMESTAMP NULL" if self.is_mysql else "TIMESTAMP", "blob": "BLOB"}
        if self.url.startswith("postgresql"):
            kinds["blob"] = "BYTEA"
        for name in sorted(names, key=list(TABLES).index):
            engine = " ENGINE=InnoDB DEFAULT CHARSET=latin1 ROW_FORMAT=DYNAMIC" if self.is_mysql else ""
            self.cursor.execute(f"CREATE TABLE {name}{suffix} ({TABLES[name].format(**kinds)}){engine}")

    def drop(self, *names: str) -> None:
        """Drop these tables, children before their parents."""
        for name in sorted(names, key=list(TABLES).index, reverse=True):
            self.cursor.execute(f"DROP TABLE {name}")

    def fill(self, table: str, rows: Iterable[Row]) -> None:
        """Insert rows that all have the same columns."""
        listed = list(rows)
        columns = list(listed[0])
        one = f"({', '.join([mark(self.url)] * len(columns))})"
        for start in range(0, len(listed), 500):
            part = listed[start : start + 500]
            values = [row[column] for row in part for column in columns]
            texts = ", ".join([one] * len(part))
            self.cursor.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {texts}", values)

    def column(self, table: str, column: str) -> list[Any]:
        """Its values, sorted."""
        self.cursor.execute(f"SELECT {column} FROM {table}")
        return sorted(
            (row[0].strip() if isinstance(row[0], str) else row[0] for row in self.cursor.fetchall()), key=str
        )


def keys(rows: Sequence[Row], column: str) -> list[Any]:
    """Values of one column, sorted as ``Tables.column`` does."""
    return sorted((row[column] for row in rows), key=str)

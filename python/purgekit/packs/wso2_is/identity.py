"""Recovery of accounts, flows, workflows, nonces and actions."""

from __future__ import annotations

from purgekit.packs.common import CLOCK, COMMON, Values, aged, optional_policy, past, table_in, unknown_states
from purgekit.packs.model import Built, PackPolicy, Parameter
from purgekit.predicates import col, dependent, not_referenced_by

NONCE = "IDN_VC_NONCE"
RECOVERY = "IDN_RECOVERY_DATA"
RECOVERY_FLOW = "IDN_RECOVERY_FLOW_DATA"
FLOW = "IDN_FLOW_CONTEXT_STORE"
REQUEST = "WF_REQUEST"
ACTION = "IDN_ACTION"
DONE = ("APPROVED", "REJECTED", "FAILED", "DELETED", "ABORTED")
OPEN = ("PENDING",)

RECOVERY_LIFETIME = Parameter("recovery_lifetime", "30d", "age at which a recovery code may go; it has no expiry")
WORKFLOW_LIFETIME = Parameter("workflow_lifetime", "60d", "time since a request was settled before it may go")

NONCE_NOTE = """\
The vendor's procedure has no grace, and names a column NONCE which the product calls NONCE_VALUE; here EXPIRY_TIME is \
all that is looked at."""
RECOVERY_NOTE = """\
The table has no expiry, so the age is all there is to go by: keep recovery_lifetime longer than the longest \
validity of a confirmation link in the product's settings. The vendor's procedure bears the same name as that for \
the registry and replaces it; an earlier one deleted every row."""
RECOVERY_FLOW_NOTE = """\
Flows go by age once no recovery row refers to them, so a purge of recovery-data before it makes room; the foreign \
key cascades, and would else take rows along that nobody counted. Only newer procedures know this table."""
FLOW_NOTE = """\
EXPIRES_AT decides, with the usual grace; the vendor's procedure waits for another 24 hours, which grace=24h does as \
well."""
WORKFLOW_NOTE = """\
Only settled requests go, by the time of their last change. ABORTED is known to the vendor's procedure for MySQL \
only, so aborted requests stay for ever elsewhere. On PostgreSQL it is one transaction, and its file ends with a \
call: installing it runs it. Relations to entities and workflows go in the same transaction."""
ACTION_NOTE = """\
Actions for authentication that no identity provider's authenticator names. The vendor asks NOT IN: a single NULL \
among the properties and nothing is ever deleted."""


def _nonces(values: Values) -> Built:
    where = past("EXPIRY_TIME", values)
    return Built(optional_policy("vc-nonces", table=table_in(values, NONCE), where=where, grace=values["grace"]))


def _recovery(values: Values) -> Built:
    where = aged("TIME_CREATED", values["recovery_lifetime"], values)
    return Built(optional_policy("recovery-data", table=table_in(values, RECOVERY), where=where, grace=values["grace"]))


def _recovery_flows(values: Values) -> Built:
    unused = not_referenced_by(table_in(values, RECOVERY), on={"RECOVERY_FLOW_ID": "RECOVERY_FLOW_ID"})
    policy = optional_policy(
        "recovery-flows",
        table=table_in(values, RECOVERY_FLOW),
        where=aged("TIME_CREATED", values["recovery_lifetime"], values) & unused,
        grace=values["grace"],
        dependents=[
            dependent(
                table_in(values, RECOVERY),
                on={"RECOVERY_FLOW_ID": "RECOVERY_FLOW_ID"},
                unless_referenced=False,
                optional=True,
            )
        ],
    )
    return Built(policy)


def _flows(values: Values) -> Built:
    where = past("EXPIRES_AT", values)
    return Built(optional_policy("flow-contexts", table=table_in(values, FLOW), where=where, grace=values["grace"]))


def _workflow(values: Values) -> Built:
    table = table_in(values, REQUEST)
    children = {
        "WF_REQUEST_ENTITY_RELATIONSHIP": "REQUEST_ID",
        "WF_WORKFLOW_REQUEST_RELATION": "REQUEST_ID",
        "WF_WORKFLOW_APPROVAL_RELATION": "EVENT_ID",
        "WF_WORKFLOW_APPROVAL_STATE": "EVENT_ID",
    }
    policy = optional_policy(
        "workflow-requests",
        table=table,
        where=col("STATUS").isin(DONE) & aged("UPDATED_AT", values["workflow_lifetime"], values),
        grace=values["grace"],
        dependents=[
            dependent(table_in(values, child), on={column: "UUID"}, unless_referenced=False, optional=True)
            for child, column in children.items()
        ],
    )
    return Built(policy, [unknown_states("STATUS", DONE + OPEN, table)])


def _actions(values: Values) -> Built:
    unused = not_referenced_by(
        table_in(values, "IDP_AUTHENTICATOR_PROPERTY"),
        on={"PROPERTY_VALUE": "UUID"},
        where=col("PROPERTY_KEY") == "actionId",
    )
    policy = optional_policy(
        "actions",
        table=table_in(values, ACTION),
        where=(col("TYPE") == "AUTHENTICATION") & unused,
        grace=values["grace"],
        dependents=[
            dependent(
                table_in(values, "IDN_ACTION_PROPERTIES"),
                on={"ACTION_UUID": "UUID"},
                unless_referenced=False,
                optional=True,
            )
        ],
    )
    return Built(policy)


POLICIES = (
    PackPolicy("vc-nonces", NONCE, "Nonces of verifiable credentials", NONCE_NOTE, _nonces, (*COMMON, *CLOCK)),
    PackPolicy(
        "recovery-data",
        RECOVERY,
        "Codes of account recovery, by age",
        RECOVERY_NOTE,
        _recovery,
        (*COMMON, RECOVERY_LIFETIME, *CLOCK),
    ),
    PackPolicy(
        "recovery-flows",
        RECOVERY_FLOW,
        "Flows of account recovery, by age, once no code refers to them",
        RECOVERY_FLOW_NOTE,
        _recovery_flows,
        (*COMMON, RECOVERY_LIFETIME, *CLOCK),
    ),
    PackPolicy("flow-contexts", FLOW, "State of flows past its expiry", FLOW_NOTE, _flows, (*COMMON, *CLOCK)),
    PackPolicy(
        "workflow-requests",
        REQUEST,
        "Settled workflow requests, by the time since they were settled",
        WORKFLOW_NOTE,
        _workflow,
        (*COMMON, WORKFLOW_LIFETIME, *CLOCK),
    ),
    PackPolicy("actions", ACTION, "Actions that no authenticator names any more", ACTION_NOTE, _actions, COMMON),
)

"""From what stands on a command line to policies: packs, TOML files, Python files."""

from __future__ import annotations

import os
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path

from purgekit import packs
from purgekit._core import Policy, distrust
from purgekit.errors import PolicyError, PurgekitError
from purgekit.redaction import redact
from purgekit.retention import belongs_to
from purgekit.text import did_you_mean, is_file, plural, printable

FORMS = "pack, pack/name, file.toml, file.toml#name or file.py:variable"


def load_policies(path_or_pack: str | os.PathLike[str], params: Mapping[str, str] | None = None) -> list[Policy]:
    """The policies that one name stands for.

    Args:
        path_or_pack: ``pack``, ``pack/name``, ``file.toml``, ``file.toml#name`` or ``file.py:variable``.
        params: a pack's parameters by name.

    Raises:
        PolicyError: naming the file, policy, key or parameter at fault.
    """
    return load_all([os.fspath(path_or_pack)], params)


def load_all(specs: Sequence[str], params: Mapping[str, str] | None = None) -> list[Policy]:
    """The policies of several names, in order; each parameter must be known to one of them."""
    values = dict(params or {})
    known: set[str] = set()
    policies: list[Policy] = []
    for spec in specs:
        loaded, parameters = _load(spec, values)
        known |= parameters
        policies += loaded
    for name in values:
        if name not in known:
            hint = did_you_mean(name, sorted(known)) if known else "; parameters are for policy packs only"
            raise PolicyError(f"unknown parameter '{printable(name)}'{hint}")
    _check_names(policies)
    return policies


def _load(spec: str, values: Mapping[str, str]) -> tuple[list[Policy], set[str]]:
    path, mark, name = spec.partition("#")
    if path.endswith(".toml"):
        return _from_toml(Path(path), name if mark else None), set()
    path, mark, variable = spec.rpartition(":")
    if mark and path.endswith(".py"):
        return _from_python(Path(path), variable), set()
    if spec.endswith(".py"):
        raise PolicyError(f"'{printable(spec)}' needs the name of a variable: {printable(spec)}:policies")
    if "://" in spec:
        raise PolicyError(f"'{redact(spec)}' is a URL and no policy; the one URL comes first, then policies: {FORMS}")
    if spec.count("/") > 1 or spec.startswith((".", "~")) or Path(spec).suffix or is_file(spec):
        raise PolicyError(f"'{printable(spec)}' is no policy; write {FORMS}")
    return packs.build(spec, values)


def _from_toml(path: Path, name: str | None) -> list[Policy]:
    from purgekit.policyfile import read_policy_file

    policies = read_policy_file(path)
    if name is None:
        return policies
    found = [policy for policy in policies if belongs_to(policy, name)]
    if not found:
        hint = did_you_mean(name, [policy.name for policy in policies])
        raise PolicyError(f"{printable(path)} has no policy '{printable(name)}'{hint}")
    return found


def _from_python(path: Path, variable: str) -> list[Policy]:
    name = printable(path)
    if not is_file(str(path)):
        raise PolicyError(f"cannot read policy file {name}: no such file")
    if reason := distrust(str(path), is_code=True):
        raise PolicyError(f"policy file {name} is code and not run: {reason}", code="untrusted_file")
    try:
        # Not "__main__": a script's own run must not start because its policies are looked at.
        scope = runpy.run_path(str(path), run_name="purgekit_policy_file")
    except PurgekitError as error:
        raise PolicyError(f"{name}: {error}", code=error.code, table=error.table, policy=error.policy) from None
    except (Exception, SystemExit) as error:
        raise PolicyError(f"{name}: {type(error).__name__}: {printable(error)}") from error
    if variable not in scope:
        choices = [key for key, value in scope.items() if not key.startswith("_") and _as_policies(value)]
        raise PolicyError(f"{name} has no variable '{printable(variable)}'{did_you_mean(variable, choices)}")
    policies = _as_policies(scope[variable])
    if not policies:
        kind = type(scope[variable]).__name__
        raise PolicyError(f"{name}: '{variable}' must be a Policy or a list of them, not {kind}")
    return policies


def _as_policies(value: object) -> list[Policy]:
    """``value`` as policies; empty when it is something else."""
    if isinstance(value, Policy):
        return [value]
    if isinstance(value, (list, tuple)) and all(isinstance(item, Policy) for item in value):
        return list(value)
    return []


def _check_names(policies: Sequence[Policy]) -> None:
    """Reports, history and resuming tell policies apart by name."""
    names = [policy.name for policy in policies]
    for name in names:
        if (count := names.count(name)) > 1:
            raise PolicyError(
                f"{plural(count, 'policy')} are named '{printable(name)}'; give each its own name, or run them apart",
                policy=name,
            )

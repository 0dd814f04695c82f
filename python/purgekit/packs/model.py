"""What a policy pack is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from purgekit._core import Policy, Predicate
from purgekit.errors import PolicyError
from purgekit.text import did_you_mean, printable


@dataclass(frozen=True)
class Parameter:
    """A knob of a pack's policy, set with ``--param name=value``."""

    name: str
    default: str
    help: str
    choices: tuple[str, ...] = ()

    def check(self, value: str) -> str:
        """``value`` if it may be given; PolicyError with the nearest right one otherwise."""
        if self.choices and value not in self.choices:
            hint = did_you_mean(value, self.choices)
            raise PolicyError(f"parameter {self.name}={printable(value)} is not offered{hint}")
        return value


@dataclass(frozen=True)
class Advice:
    """A warning for the plan about those purgeable rows for which ``where`` holds, if there are any.

    ``message`` may hold ``{rows}``. With ``of_all`` it is about all rows of the table, whether they may go or not.
    """

    code: str
    where: Predicate
    message: str
    of_all: bool = False


@dataclass(frozen=True)
class Built:
    """A policy with what its pack has to say about it."""

    policy: Policy
    advice: Sequence[Advice] = ()


@dataclass(frozen=True)
class PackPolicy:
    """One policy of a pack, or several of one kind for tables that belong together.

    ``build`` gets every parameter's value, those not given at their defaults. One that is ``by_name_only`` is no part
    of the whole pack: what it deletes is a record that somebody may have to keep, or needs a parameter to be right.
    """

    name: str
    table: str
    summary: str
    note: str
    build: Callable[[Mapping[str, str]], Built | Sequence[Built]]
    parameters: Sequence[Parameter] = ()
    by_name_only: bool = False

    def with_values(self, given: Mapping[str, str]) -> list[Built]:
        """Build with the values given for its own parameters; others are not its concern."""
        values = {p.name: p.check(given[p.name]) if p.name in given else p.default for p in self.parameters}
        built = self.build(values)
        return [built] if isinstance(built, Built) else list(built)


@dataclass(frozen=True)
class Pack:
    """Policies for the tables of one product. ``note``: what to do in the product and around the first run."""

    name: str
    title: str
    policies: Sequence[PackPolicy] = field(default=())
    note: str = ""

    def find(self, name: str) -> PackPolicy:
        """The policy ``name``; PolicyError with the nearest right name when there is none."""
        for policy in self.policies:
            if policy.name == name:
                return policy
        hint = did_you_mean(name, [policy.name for policy in self.policies])
        raise PolicyError(f"pack {self.name} has no policy '{printable(name)}'{hint}")

"""What options mean: roles, which are the same in every space, so that what is known of one says something of another.

"nor_conv_3x3" of a cell and kernel 3 of a layer are both a convolution over 3 x 3 pixels. A choice may say so:
``Choice("kernel", (3, 5), roles=({"kind": "conv", "kernel": 3}, {"kind": "conv", "kernel": 5}))``. TG-NAS (Qiu et al.,
arXiv 2404.00271) has a language model embed the operation's name; a few numbers say the same of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from searchkit.errors import SpaceError, UnknownNameError
from searchkit.types import Codes, Floats

if TYPE_CHECKING:
    from searchkit.space.space import Space

Role = Mapping[str, str | int | float | bool]
Roles = tuple[Role | None, ...]

KINDS = ("conv", "pool", "skip", "none", "attention", "linear")
NUMBERS = {"kernel": "pixels of the side", "params": "weights per squared width", "expansion": "of the width within"}
KEYS = ("kind", *NUMBERS, "depthwise")


def read_roles(name: str, n_options: int, given: object) -> Roles | None:
    """The roles of a choice's options, checked; None where none are given.

    Raises:
        SpaceError: another number of roles than options, or a role that is none.
        UnknownNameError: a descriptor or a kind that there is not.
    """
    if given is None:
        return None
    if isinstance(given, str | Mapping) or not isinstance(given, Sequence):
        raise SpaceError(f"roles of choice '{name}' are one for each option, a dictionary or None each, not {given!r}")
    if len(given) != n_options:
        raise SpaceError(f"choice '{name}' has {n_options} options and {len(given)} roles; give one for each option")
    return tuple(None if role is None else _read(name, i, role) for i, role in enumerate(given))


def _read(name: str, i: int, role: Any) -> Role:
    if not isinstance(role, Mapping):
        raise SpaceError(f"role {i} of choice '{name}' is a dictionary such as {{'kind': 'conv'}}, not {role!r}")
    for key, value in role.items():
        if key not in KEYS:
            raise UnknownNameError.of("descriptor of a role", key, KEYS)
        if key == "kind" and value not in KINDS:
            raise UnknownNameError.of("kind of a role", value, KINDS)
        number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if key in NUMBERS and not (number and 0 <= value < float("inf")):
            raise SpaceError(
                f"{key} of role {i} of choice '{name}' is a number of at least 0 ({NUMBERS[key]}), not {value!r}"
            )
        if key == "depthwise" and not isinstance(value, bool | np.bool_):
            raise SpaceError(f"depthwise of role {i} of choice '{name}' is True or False, not {value!r}")
    return dict(role)


def has_roles(space: Space) -> bool:
    """Whether some choice of the space says what its options mean."""
    return any(choice.roles is not None for choice in space.choices)


def times(space: Space, codes: Codes) -> Floats:
    """``(n, d)`` how many times what a choice decides is in each network; 1 where the space does not say.

    Raises:
        SpaceError: what the space's function returns has another shape.
    """
    counted = getattr(space, "times", None)
    ones = np.ones(codes.shape)
    if counted is None:
        return ones
    found = np.asarray(counted(codes), dtype=np.float64)
    if found.ndim != 2 or len(found) != len(codes) or found.shape[1] > codes.shape[1]:
        raise SpaceError(f"times of space '{space.name}' returned shape {found.shape} for codes of shape {codes.shape}")
    ones[:, : found.shape[1]] = found
    return ones


def amounts(space: Space, codes: Codes, of: Callable[[Role], float]) -> Floats:
    """``(n, d)`` a number of the chosen option's role, 0 where it has none, as many times as it is in the network."""
    tables = [
        np.array([0.0 if role is None else float(of(role)) for role in choice.roles or [None] * len(choice.options)])
        for choice in space.choices
    ]
    chosen = np.stack([table[codes[:, j]] for j, table in enumerate(tables)], axis=1)
    return np.asarray(chosen * times(space, codes))


def is_kind(kind: str) -> Callable[[Role], float]:
    """1 for roles of a kind."""
    return lambda role: float(role.get("kind") == kind)


def number(key: str, kind: str | None = None) -> Callable[[Role], float]:
    """A descriptor of roles, 0 where they have none; of one kind of them where it is given."""
    return lambda role: float(role.get(key, 0.0)) if kind is None or role.get("kind") == kind else 0.0

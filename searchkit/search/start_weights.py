"""What ``weights=`` means: the weights that networks begin with, from shared weights, an earlier study or a file."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from searchkit.errors import SearchkitError, message_of
from searchkit.problem.trial import Trial, pareto_front
from searchkit.random_state import seeded
from searchkit.results.result import Result
from searchkit.runtime.fingerprint import fingerprint
from searchkit.sharing.parts import Into, of_part
from searchkit.sharing.starts import Given, TrainedBefore
from searchkit.space import NetworkSpace, distinct_rows
from searchkit.space.recipe_space import RecipeSpace, networks_of
from searchkit.surroundings import settled
from searchkit.training.starts import WEIGHTS_TAKEN, Start, begin_with, share_of
from searchkit.training.weights import delivered_path
from searchkit.types import Codes

LOOKED_AT = 20  # networks of a space that may take weights
log = logging.getLogger("searchkit")
INSIDE = "network."  # begins the names of a network in a :class:`~searchkit.training.normalised.Normalised`


def read_weights(given: object, space: NetworkSpace) -> Start | None:
    """The weights that networks of a space begin with; None where nothing was given.

    Args:
        given: :class:`searchkit.sharing.SharedWeights`, or anything with ``start(code)``; a
            :class:`~searchkit.results.result.Result`, whose front's weights are taken, or several, the first before
            the others; a torch module or its state; or the path of a file of these, ``.safetensors`` or of
            ``torch.save``.

    Raises:
        SearchkitError: it is nothing of these, of another space, or no network of the space has such parameters.
    """
    if given is None:
        return None
    networks = networks_of(space)
    made = _made(given, networks)
    if isinstance(made, Given):
        _check_fits(made, networks)
    return _OfNetworks(made, networks.n_choices) if isinstance(space, RecipeSpace) else made


def _made(given: object, space: NetworkSpace) -> Start:
    if isinstance(given, Result):
        return _of_results([given], space)
    if isinstance(given, list | tuple) and given and all(isinstance(one, Result) for one in given):
        return _of_results(given, space)
    if isinstance(given, Start):
        other = getattr(given, "space", None)
        return of_part(given, Into(space, other)) if isinstance(other, NetworkSpace) else given
    if isinstance(given, nn.Module):
        return _of_state(given.state_dict(), f"a {type(given).__name__}")
    if isinstance(given, Mapping):
        return _of_state(given, "a mapping")
    if isinstance(given, str | Path):
        return _of_file(settled(given))
    raise SearchkitError(
        "weights= are shared weights (searchkit.SharedWeights), the Result of an earlier search or a list of these, a "
        f"torch module or its state, or the path of a file of one, not {given!r:.80}"
    )


def _of_file(path: Path) -> Start:
    try:
        held = (
            load_file(path)
            if path.suffix == ".safetensors"
            else torch.load(path, map_location="cpu", weights_only=True)
        )
    except (OSError, SafetensorError, RuntimeError, ValueError, EOFError) as error:
        raise SearchkitError(f"weights= '{path}' cannot be read: {message_of(error)}") from error
    except Exception as error:  # of a file of something else, pickle says what it likes
        raise SearchkitError(f"weights= '{path}' holds no tensors by name: {message_of(error)}") from error
    if isinstance(held, Mapping) and isinstance(held.get("state_dict"), Mapping):  # as checkpoints of trainers have it
        held = held["state_dict"]
    return _of_state(held, f"'{path}'")


def _of_state(held: object, what: str) -> Start:
    tensors = dict(held) if isinstance(held, Mapping) else {}
    tensors = {str(name): tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}
    for prefix in ("_orig_mod.", "module."):  # of torch.compile, and of DataParallel
        if tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    inside = {name.removeprefix(INSIDE): one for name, one in tensors.items() if name.startswith(INSIDE)}
    tensors = inside or tensors  # of what result.build and result.export give, with its normalisation
    if not tensors:
        raise SearchkitError(f"weights= {what} holds no tensors by name, as the state of a torch module does")
    if any(tensor.is_meta for tensor in tensors.values()):
        raise SearchkitError(f"weights= {what} has tensors on the device 'meta', which have no values")
    return Given(tensors, _digest(tensors))


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """A fingerprint of names and values; of types that numpy does not have, such as bfloat16, as float32."""
    values = (one.detach().cpu() for one in tensors.values())
    return fingerprint(*tensors, *((one.float() if one.dtype is torch.bfloat16 else one).numpy() for one in values))


def _of_results(results: Sequence[Result], space: NetworkSpace) -> Start:
    """The weights of several fronts, those of the first result before those of the next."""
    trained, others = [], []
    for result in results:
        if not isinstance(result.space, NetworkSpace):
            raise SearchkitError(f"weights= study '{result.name}' has no networks, and so no weights to begin with")
        others.append(networks_of(result.space))
        Into(space, others[-1])  # refuses another space
        if others[-1].describe()["choices"] != others[0].describe()["choices"]:
            raise SearchkitError(
                f"weights= studies '{results[0].name}' and '{result.name}' are of spaces with other options: give one"
            )
        trained += _trained(result, others[-1])
    identity = fingerprint(*((code.tolist(), _digest(state)) for code, state in trained))
    into = Into(space, others[0])
    return TrainedBefore(space, trained, identity, None if into.same else others[0], into)


def _trained(result: Result, networks: NetworkSpace) -> list[tuple[Codes, Mapping[str, Tensor]]]:
    """The networks of a front with their weights, the best first."""
    trained: list[tuple[Codes, Mapping[str, Tensor]]] = []
    for trial in pareto_front(result.trials, result.goals):
        path = delivered_path(result.folder or Path(), trial.code)
        if path.exists():
            trained.append((trial.code[: networks.n_choices], load_file(path)))
    if not trained:
        raise SearchkitError(f"weights= study '{result.name}' has no trained network on its front to begin with")
    return trained


def _check_fits(start: Given, space: NetworkSpace) -> None:
    """Refuse tensors of which no network that is looked at can take one."""
    first = space.canonical(np.zeros((1, space.n_choices), dtype=np.int64))
    names: list[str] = []
    for code in distinct_rows(np.concatenate([first, space.sample(LOOKED_AT, np.random.default_rng(0))])):
        with seeded(0), contextlib.suppress(Exception):  # one that cannot be built fails when it is trained
            network = space.build(code)
            names = names or list(network.state_dict())
            if begin_with(network, start.start(code)):
                return
    if names:
        own, given = names[0], next(iter(start.tensors))
        raise SearchkitError(
            f"weights= have no tensor of the name and shape of a parameter of space '{space.name}': its networks have "
            f"'{own}', and these '{given}'"
        )


@dataclass
class Telling:
    """A callback that says how much of the weights the first candidate takes, and at the end how much all of them."""

    _told: bool = False

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        """Log the share of the first candidate that was trained."""
        share = trial.values.get(WEIGHTS_TAKEN)
        if share is not None and not self._told:
            self._told = True
            log.info("weights=: %.0f %% of the parameters of candidate %d begin with them", 100 * share, trial.number)

    def clean(self, trials: Sequence[Trial]) -> None:
        """Log the shares of all candidates."""
        say_taken([trial.values[WEIGHTS_TAKEN] for trial in trials if WEIGHTS_TAKEN in trial.values])


def say_taken(shares: Sequence[float]) -> None:
    """Log which shares of their parameters networks took of given weights; a warning where these are nothing."""
    if len(shares) and max(shares) == 0:
        log.warning("weights=: none of %d networks has a parameter of the name and shape of theirs", len(shares))
    elif len(shares) and min(shares) >= 1:
        log.info("weights=: networks began with all of their parameters from them")
    elif len(shares):
        low, middle, high = (100 * float(np.quantile(shares, q)) for q in (0, 0.5, 1))
        log.info(
            "weights=: networks began with %.0f to %.0f %% of their parameters from them, half of them with %.0f %% or "
            "more; the others were random",
            low, high, middle,
        )  # fmt: skip


def shares_taken(space: NetworkSpace, start: Start, codes: Codes) -> list[float]:
    """The shares of their parameters that some networks ``(n, d)``, at most :data:`LOOKED_AT`, take of weights."""
    shares: list[float] = []
    for code in codes[:LOOKED_AT]:
        with seeded(0), contextlib.suppress(Exception):  # one that cannot be built is said elsewhere
            network = space.build(code)
            shares.append(share_of(network, begin_with(network, start.start(code))))
    return shares


@dataclass(frozen=True)
class _OfNetworks:
    """Weights for a space with further choices, which are none of the networks."""

    of: Start
    n: int

    @property
    def identity(self) -> str:
        return self.of.identity

    def start(self, code: Codes) -> Mapping[str, Tensor]:
        return self.of.start(code[: self.n])

"""The space of networks and the data of a search, which must fit each other."""

from __future__ import annotations

from searchkit import plugins
from searchkit.data.data import Data
from searchkit.data.loading import load_data
from searchkit.errors import DataError, SpaceError
from searchkit.search.kinds import DEFAULTS, read_as, unfit
from searchkit.space import NetworkSpace, Space
from searchkit.types import Task

DENSE_SPACE = "encoder-decoder"  # where each pixel has a class or quantities


def space_and_data(space: object, data: object, seed: int, task: Task | None = None) -> tuple[NetworkSpace, Data]:
    """The network space that ``space=`` means, for the shape and classes of the data, and the loaded data.

    Args:
        space: see :func:`read_space`; None: the default space for the kind of data.
        data: see :func:`searchkit.load_data`; read as the kind that the space takes. A space that takes tokens and
            signals gets tokens where the inputs are sentences or rows of whole numbers.
        task: if known, for data that are not loaded yet.

    Raises:
        SearchkitError: one of them is invalid, or they do not fit each other.
    """
    chosen = None if space is None else read_space(space)
    kinds = () if chosen is None else chosen.kinds
    if isinstance(data, Data):
        check_split_seed(seed, data)
        loaded = data
    else:
        loaded = load_data(data, seed=seed, kind=read_as(kinds), task=task)
    if chosen is None:
        chosen = read_space(DENSE_SPACE if loaded.dense else DEFAULTS[loaded.kind])
    elif loaded.kind not in kinds:
        raise unfit(chosen, loaded)
    if chosen.teacher is not None:  # takes them as they are
        loaded = loaded.as_given()
    _check_outputs(chosen, loaded)
    return chosen.for_data(loaded.input_shape, loaded.output_shape), loaded


def _check_outputs(space: NetworkSpace, data: Data) -> None:
    """Refuse a space whose networks give one row an example, for data with something to predict for each pixel."""
    if data.dense and not space.takes_shape:
        raise DataError(
            f"data '{data.name}' have something to predict for each pixel ({data.task}), and networks of space "
            f"'{space.name}' give one row for each picture: take space='{DENSE_SPACE}', or a space whose "
            "build(choices, input_shape, output_shape) takes an output_shape"
        )


def check_split_seed(seed: int, data: object) -> None:
    """Refuse a seed of the split of data that are split already.

    Raises:
        DataError: it is not the default, 0.
    """
    if seed and isinstance(data, Data):
        raise DataError(
            f"split_seed={seed} was given with data '{data.name}', which are split already: "
            f"write load_data(..., seed={seed}) and leave split_seed out"
        )


def read_space(space: object) -> NetworkSpace:
    """The network space that ``space=`` means: None (the default), a name, or a space.

    Raises:
        SpaceError: not a network space.
    """
    if space is None:
        return plugins.load_space(DEFAULTS["images"])
    if isinstance(space, str):
        return plugins.load_space(space)
    if isinstance(space, NetworkSpace):
        return space
    if isinstance(space, Space):
        raise SpaceError(
            f"space '{space.name}' builds no networks: give a NetworkSpace, or evaluate= to search it as a black box"
        )
    raise SpaceError(f"space is a name ({', '.join(plugins.names('space'))}) or a NetworkSpace, not {space!r}")

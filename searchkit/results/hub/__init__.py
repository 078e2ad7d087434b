"""A network as a folder in the form of a model repository of the Hugging Face Hub; nothing is uploaded.

``result.export(0, "folder", format="hub")`` writes

* ``README.md``: the model card, with the figures of the search and the lines that load the network,
* ``config.json``: choices, classes, shapes, normalisation and scores,
* ``model.safetensors``: the weights, for :func:`searchkit.load_network`,
* ``model.pt2``: a program of torch.export, which torch alone loads,
* ``encoder.joblib``, of a search on a data frame that was encoded.
"""

from typing import TYPE_CHECKING

from searchkit.lazy import lazily

if TYPE_CHECKING:
    from searchkit.results.hub.loading import load_network

__all__ = ["load_network"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "load_network": "loading",
    },
)

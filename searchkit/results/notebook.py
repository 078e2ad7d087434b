"""A result in a notebook: what it is, the picture of its front, and the front as a table."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING

from searchkit.errors import SearchkitError, plural
from searchkit.results.safe_html import Html, fill, joined, table

if TYPE_CHECKING:
    from searchkit.results.result import Result

DPI = 80  # of the picture, which is kept in the notebook's file


def shown(result: Result) -> Html:
    """The HTML of :class:`searchkit.Result` in a notebook, without a script or another file."""
    said = fill("<p><b>{}</b>: {}, {}</p>", result.name, plural(len(result.trials), "candidate"), result.stopped)
    return joined([said, _picture(result), table(result.front)])


def _picture(result: Result) -> Html:
    """The front among all candidates; nothing where there is nothing to draw."""
    written = io.BytesIO()
    try:
        result.plot().savefig(written, format="png", dpi=DPI)
    except SearchkitError:
        return joined([])
    image = base64.b64encode(written.getvalue()).decode()
    names = " and ".join(result.goals.names[:2])
    return fill('<img src="data:image/png;base64,{}" alt="the front of {}, by {}">', image, result.name, names)

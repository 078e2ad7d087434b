"""A network by the name of a user's function that returns it."""

from __future__ import annotations

import importlib
import os
import sys

from torch import nn

from searchkit.errors import SearchkitError, first_line_said


def model_of(text: str) -> nn.Module:
    """The network that a function returns, of "module:function"; modules are found in the working folder too.

    Raises:
        SearchkitError: it cannot be imported, is no function, raises, or returns something else.
    """
    module_name, colon, function_name = text.partition(":")
    if not colon or not module_name or not function_name:
        raise SearchkitError(f"the network is MODULE:FUNCTION, such as my_code:model, not {text!r}")
    sys.path.insert(0, os.getcwd())
    try:
        made = getattr(importlib.import_module(module_name), function_name)()
    except Exception as error:
        said = first_line_said(error)
        raise SearchkitError(f"{text} gives no network: {type(error).__name__}: {said}") from error
    finally:
        sys.path.remove(os.getcwd())
    if not isinstance(made, nn.Module):
        raise SearchkitError(f"{text} returned {made!r:.80}, not a torch.nn.Module")
    return made

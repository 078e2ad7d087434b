"""The table of the tools: what each takes and returns, and whether it has a process of its own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from searchkit.integrations.mcp import inputs, outputs
from searchkit.integrations.mcp.inputs import Input
from searchkit.integrations.mcp.outputs import Output
from searchkit.integrations.mcp.said import Tell
from searchkit.integrations.mcp.settings import Settings


@dataclass(frozen=True)
class Tool:
    """A tool.

    Attributes:
        title: for people.
        about: for assistants: what it does and when it is of use.
        takes, returns: models, of which clients see the schemas.
        function: ``module:function`` of this package, called with what is given and the settings; apart also with a
            function that tells progress.
        apart: whether each call has a process of its own.
        check: of what is given, before that process begins.
        searches: whether one call of this kind at a time is enough for the machine.
        reads_only: whether it changes nothing.
    """

    title: str
    about: str
    takes: type[Input]
    returns: type
    function: str
    apart: bool = False
    check: str = ""
    searches: bool = False
    reads_only: bool = False

    def call(self, given: Input, settings: Settings) -> Output:
        """Its answer, in this process."""
        return cast(Output, _found(self.function)(given, settings))

    def call_apart(self, given: Input, settings: Settings, tell: Tell) -> Output:
        """Its answer, in the process that was begun for it."""
        return cast(Output, _found(self.function)(given, settings, tell))

    def refuse(self, given: Input, settings: Settings) -> None:
        """Raise a SearchkitError where the server does not allow what is given."""
        if self.check:
            _found(self.check)(given, settings)


def _found(name: str) -> Callable[..., object]:
    module, _, function = name.partition(":")
    found: Callable[..., object] = getattr(importlib.import_module(f"{__package__}.{module}"), function)
    return found


TOOLS = {
    "describe": Tool(
        "What there is",
        "Say which strategies, spaces, proxies, objectives, export formats and data sets there are, and what this "
        "server allows. Call it before run where a name is not known.",
        inputs.DescribeInput, outputs.Described, "describing:describe", reads_only=True,
    ),
    "list_studies": Tool(
        "Recorded searches",
        "List the recorded studies with their candidates, the size of their front and the best value, also of those "
        "that are running now.",
        inputs.Nothing, outputs.Listed, "reading:list_studies", reads_only=True,
    ),
    "run": Tool(
        "Search for networks",
        "Search for neural networks on a trade-off of objectives, such as accuracy and parameters, and return the "
        "front. Give a budget (candidates), seconds, or both. The same call again, with a larger budget, continues the "
        "study; after a cancelled call the record is kept.",
        inputs.SearchInput, outputs.Found, "working:search", True, "working:check_search", searches=True,
    ),
    "front": Tool(
        "The front of a study",
        "Show the networks of a study that no other dominates, the best in the first objective first, or its whole "
        "history. It works while the study is running.",
        inputs.FrontInput, outputs.Front, "reading:front", reads_only=True,
    ),
    "compare": Tool(
        "Studies side by side",
        "Compare the fronts of two or more studies with the same objectives: the share of the joint hypervolume "
        "that each has (higher is better), and which points are dominated by points of another study.",
        inputs.CompareInput, outputs.Compared, "reading:compare", reads_only=True,
    ),
    "export": Tool(
        "Write a network",
        "Write a trained network of a front as ONNX or in another format, into the folder of this server, and check it "
        "against the network that was measured.",
        inputs.ExportInput, outputs.Exported, "writing:export", True, "writing:check_export",
    ),
    "score": Tool(
        "Score without training",
        "Score candidates of a space with proxies, without training; the best come first.",
        inputs.ScoreInput, outputs.Scored, "working:score", True, reads_only=True,
    ),
    "compress": Tool(
        "Make a network cheaper",
        "Make a trained network of the user's fit bounds on its cost. The network comes from a function of theirs, "
        "which is imported and called; the server has to allow that.",
        inputs.CompressInput, outputs.Shrunk, "writing:compress", True, "writing:check_compress", searches=True,
    ),
}  # fmt: skip

"""The server: its tools by the protocol, on standard input and output."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from anyio import CapacityLimiter

from searchkit.errors import SearchkitError, UnknownNameError, first_line_said
from searchkit.integrations.mcp.inputs import Input, read_input
from searchkit.integrations.mcp.jobs import OnProgress, called_apart
from searchkit.integrations.mcp.outputs import schema_of
from searchkit.integrations.mcp.settings import Settings, check_installed
from searchkit.integrations.mcp.streams import claimed_output
from searchkit.integrations.mcp.tools import TOOLS, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mcp.server.lowlevel import Server
    from mcp.types import CallToolResult
    from mcp.types import Tool as Listed

INSTRUCTIONS = (
    "searchkit finds neural networks on a trade-off of accuracy and cost. describe says which spaces, objectives, "
    "strategies and data there are; run searches, for minutes at most, and the same call again continues; front, "
    "list_studies and compare read what was found; export writes a network as a file. An error is a sentence that says "
    "what is allowed."
)
BESIDE = 2  # exports and scores at once
log = logging.getLogger("searchkit.mcp")


def serve(settings: Settings) -> None:
    """Serve one client on standard input and output, until the input ends.

    Raises:
        SearchkitError: the package mcp is not installed.
    """
    check_installed()
    if sys.stdin.isatty():
        print("searchkit: waiting for an assistant's program on standard input; Ctrl-C ends", file=sys.stderr)
    output = claimed_output()
    logging.getLogger("searchkit").setLevel(logging.INFO)
    anyio.run(_serve, settings, output)


async def _serve(settings: Settings, output: TextIOWrapper) -> None:
    from mcp.server.stdio import stdio_server

    given = TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="replace")
    made = server(settings)
    async with stdio_server(anyio.wrap_file(given), anyio.wrap_file(output)) as (reading, writing):
        await made.run(reading, writing, made.create_initialization_options())


def server(settings: Settings) -> Server[object, object]:
    """A server of the package mcp with all tools, which runs on any of its transports."""
    from mcp.server.lowlevel import Server

    from searchkit.version import __version__

    made: Server[object, object] = Server("searchkit", version=__version__, instructions=INSTRUCTIONS)
    desk = Desk(settings)

    async def tools() -> list[Listed]:
        return [_described(name, tool) for name, tool in TOOLS.items()]

    async def call(name: str, arguments: dict[str, object]) -> CallToolResult:
        async def on_progress(progress: float, total: float | None, message: str) -> None:
            context = made.request_context
            token = context.meta.progressToken if context.meta else None
            if token is not None:
                await context.session.send_progress_notification(
                    token, progress, total, message, related_request_id=str(context.request_id)
                )

        return await desk.answer(name, arguments, on_progress)

    made.list_tools()(tools)  # type: ignore[no-untyped-call]
    made.call_tool(validate_input=False)(call)  # arguments are checked here, with the nearest names
    return made


class Desk:
    """Where calls arrive: they are checked, done here or apart, and answered.

    What reads is done in a thread, one call at a time, while the server listens. One search runs at a time, since it
    may use all that the server allows, and beside it BESIDE exports and scores.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reading = CapacityLimiter(1)
        self._searching = list[str]()
        self._beside = list[str]()

    async def answer(self, name: str, arguments: Mapping[str, object], on_progress: OnProgress) -> CallToolResult:
        """The answer to a call; an error is a sentence, and never a traceback."""
        import json

        from mcp.types import CallToolResult, TextContent

        try:
            found = await self._found(name, arguments, on_progress)
        except SearchkitError as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], isError=True)
        except Exception as error:
            log.exception("tool %s failed", name)
            said = f"{name} failed: {type(error).__name__}: {first_line_said(error)}"
            return CallToolResult(content=[TextContent(type="text", text=said)], isError=True)
        text = TextContent(type="text", text=json.dumps(found))
        return CallToolResult(content=[text], structuredContent=dict(found))

    async def _found(self, name: str, arguments: Mapping[str, object], on_progress: OnProgress) -> Mapping[str, object]:
        tool = TOOLS.get(name)
        if tool is None:
            raise UnknownNameError.of("tool", name, TOOLS)
        given = read_input(name, tool.takes, arguments)
        tool.refuse(given, self._settings)
        if not tool.apart:
            done: Mapping[str, object] = await anyio.to_thread.run_sync(
                tool.call, given, self._settings, limiter=self._reading, abandon_on_cancel=True
            )
            return done
        with self._turn(name, given, tool.searches):
            return await called_apart(name, given, self._settings, on_progress)

    @contextmanager
    def _turn(self, name: str, given: Input, searches: bool) -> Iterator[None]:
        """Refuse a second search while one runs, and more than a few other calls at once."""
        running, most = (self._searching, 1) if searches else (self._beside, BESIDE)
        if len(running) >= most:
            verb = "is" if most == 1 else "are"
            which = "it" if most == 1 else "one of them"
            raise SearchkitError(
                f"{' and '.join(running)} {verb} running on this server: wait for {which}, or cancel it"
            )
        study = getattr(given, "name", None) or getattr(given, "study", None)
        said = f"{name} of '{study}'" if study else name
        running.append(said)
        try:
            yield
        finally:
            running.remove(said)


def _described(name: str, tool: Tool) -> Listed:
    from mcp.types import Tool as Listed
    from mcp.types import ToolAnnotations

    hints = ToolAnnotations(title=tool.title, readOnlyHint=tool.reads_only, destructiveHint=False, openWorldHint=False)
    return Listed(
        name=name,
        title=tool.title,
        description=tool.about,
        inputSchema=tool.takes.model_json_schema(),
        outputSchema=schema_of(tool.returns),
        annotations=hints,
    )

"""TensorBoard's event files, written synchronously and without a thread."""

from __future__ import annotations

import io
import itertools
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PREFIX = "events.out.tfevents."

_numbers = itertools.count()


class Events:
    """A new event file in a folder; events are appended until it is closed.

    Args:
        folder: created where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event, SourceMetadata
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"{PREFIX}{_stamp(folder):010d}.{socket.gethostname()}.{os.getpid()}.{next(_numbers)}"
        self._file = (folder / name).open("wb", buffering=2**20)
        self._records, self._event = RecordWriter(self._file), Event
        source = SourceMetadata(writer="searchkit.integrations.tensorboard")
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2", source_metadata=source))

    def add(self, summary: object, step: int) -> None:
        """Append a summary; it is on disk after :meth:`flush`."""
        self._write(self._event(wall_time=time.time(), step=step, summary=summary))

    def flush(self) -> None:
        """Hand everything to the operating system, in one write."""
        self._file.flush()

    def close(self) -> None:
        """Flush, and end the file."""
        self._file.close()

    def _write(self, event: Any) -> None:
        self._records.write(event.SerializeToString())


def _stamp(folder: Path) -> int:
    """The second in a file's name: later than any in the folder, since files are read in the order of names."""
    names = (path.name.removeprefix(PREFIX).partition(".")[0] for path in folder.glob(f"{PREFIX}*"))
    return max([int(time.time()), *(int(name) + 1 for name in names if name.isdecimal())])


def scalars(values: Mapping[str, float]) -> Any:
    """A summary of numbers by tag."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    return Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])


def text(tag: str, markdown: str) -> Any:
    """A summary for the TEXT tab."""
    from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING

    plugin = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
    tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()])
    return Summary(value=[Summary.Value(tag=tag, metadata=plugin, tensor=tensor)])


def picture(tag: str, figure: Any) -> Any:
    """A summary of a matplotlib figure, as PNG."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    width, height = (int(100 * inches) for inches in figure.get_size_inches())
    image = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=buffer.getvalue())
    return Summary(value=[Summary.Value(tag=tag, image=image)])

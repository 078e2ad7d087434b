"""Candidates as sessions of TensorBoard's HPARAMS tab: choices are hyperparameters, metrics are metrics.

Its protocol messages are built here, because TensorBoard's own functions for that import TensorFlow.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from searchkit.integrations.trackers.common import seconds_of, storable
from searchkit.integrations.trackers.events import Events, scalars
from searchkit.problem.objectives import Goals
from searchkit.problem.trial import State, Trial
from searchkit.space import Choice, Parameter, Space, is_number
from searchkit.space.choice import Label

GROUP = "candidate"  # of the tags of metrics, apart from the curves of the search


def experiment(space: Space, goals: Goals) -> Any:
    """The summary with the columns of the tab, for the folder above those of the candidates."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    columns = []
    for choice in space.choices:
        if is_number(choice):
            column = api_pb2.HParamInfo(name=choice.name, type=api_pb2.DataType.Value("DATA_TYPE_FLOAT64"))
            column.domain_interval.min_value, column.domain_interval.max_value = choice.low, choice.high
            columns.append(column)
            continue
        options = _options(choice)
        kind = {str: "STRING", bool: "BOOL"}.get(type(options[0]), "FLOAT64")
        column = api_pb2.HParamInfo(name=choice.name, type=api_pb2.DataType.Value(f"DATA_TYPE_{kind}"))
        column.domain_discrete.extend(options)
        columns.append(column)
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=f"{GROUP}/{name}"), display_name=name)
        for name in (*goals.metrics, seconds_of(goals))
    ]
    described = api_pb2.Experiment(hparam_infos=columns, metric_infos=metrics, time_created_secs=time.time())
    return _summary(metadata.EXPERIMENT_TAG, experiment=described)


def write_session(folder: Path, space: Space, goals: Goals, trial: Trial, step: int) -> None:
    """Write a candidate to a folder of its own, unless it exists."""
    if folder.exists():
        return
    values = trial.values | {seconds_of(goals): trial.seconds}
    metrics = {f"{GROUP}/{name}": value for name, value in values.items() if math.isfinite(value)}
    events = Events(folder)
    try:
        events.add(_start(space, trial), 0)
        events.add(scalars(metrics), step)
        events.add(_end(trial.state), 0)
    finally:
        events.close()


def _start(space: Space, trial: Trial) -> Any:
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    began = time.time() - trial.seconds
    info = plugin_data_pb2.SessionStartInfo(group_name=f"candidate {trial.number:04d}", start_time_secs=began)
    exists = space.active(trial.code[None])[0].tolist()
    for choice, place, on in zip(space.choices, trial.code.tolist(), exists, strict=True):
        if not on:
            continue
        option = float(choice.option(place)) if is_number(choice) else _options(choice)[place]
        kind = {str: "string_value", bool: "bool_value"}.get(type(option), "number_value")
        setattr(info.hparams[choice.name], kind, option)
    return _summary(metadata.SESSION_START_INFO_TAG, session_start_info=info)


def _end(state: State) -> Any:
    """A session's end; a candidate that failed or broke a bound is a failure there."""
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

    status = "SUCCESS" if state in (State.SCORED, State.DROPPED) else "FAILURE"
    number = api_pb2.Status.Value(f"STATUS_{status}")
    info = plugin_data_pb2.SessionEndInfo(status=number, end_time_secs=time.time())
    return _summary(metadata.SESSION_END_INFO_TAG, session_end_info=info)


def _summary(tag: str, **message: Any) -> Any:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**message))
    return Summary(value=[Summary.Value(tag=tag, metadata=data, tensor=metadata.NULL_TENSOR)])


def _options(choice: Parameter) -> list[Label]:
    """The options in a type that the tab allows: one type per column."""
    assert isinstance(choice, Choice)
    kinds = {type(label) for label in choice.labels}
    if kinds <= {int, float}:
        return [float(label) if isinstance(label, int) else label for label in choice.labels]
    return list(choice.labels if kinds == {bool} else map(storable, choice.texts))

"""One way of measuring for all candidates of a study, so that their latencies can be compared."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import numpy as np
import torch
from torch import nn

from searchkit.costs.latency import Latency, latency
from searchkit.costs.onnx_session import export_error
from searchkit.costs.together import latency_beside
from searchkit.errors import PASSED_ON, CandidateError, UnsteadyError, first_line_said, readable
from searchkit.random_state import untouched
from searchkit.runtime.processor import Clocks, clocks, speed
from searchkit.space import NetworkSpace

USUAL = 0.15  # seconds of timing
# Of 1,070 measurements beside up to four busy processes on two cores, the largest was 0.36; beside four that worked and
# paused in turn, one of 40 was above 1, and none of 40 that were repeated (docs/benchmarks.md).
MOST_SPREAD = 1.0
WIDER = 1.05  # times the range of a clock, beyond which it is recorded anew
LOOKS = 4  # random candidates whose export to ONNX is tried before the first measurement

log = logging.getLogger("searchkit")


class OneMethod:
    """Measures the latency of candidates, all by the same method.

    On a CPU it is ONNX Runtime; if that cannot run one of a few random candidates, it is eager torch, and the log says
    so. On a CUDA card it is a CUDA graph; if the first candidate cannot be captured in one, it is eager torch. A study
    that is continued keeps its method. A candidate that the method cannot run has failed.

    In a space made of a trained network whose latency on the CPU is known, others are timed in turn with that network,
    and have their share of its latency.

    Where the spread of three measurements is above the latency itself, there is none, and the candidate has failed.

    Attributes:
        clock: under which conditions it measured on a CPU, and the range of the core's clock, as far as the system
            tells (:mod:`searchkit.runtime.processor`). Ranges grow by steps of 5 %.
    """

    def __init__(self, space: NetworkSpace, device: str) -> None:
        self._space, self._device = space, device
        self._method: str | None = None
        self.clock: Clocks = {}

    def go_on(self, labels: Iterable[str]) -> None:
        """Keep the method of earlier measurements, which are given by their ``Latency.label``; the last one counts."""
        for label in labels:
            self._method = _method_of(label)

    def __call__(self, network: nn.Module, seconds: float | None = None) -> tuple[dict[str, float], str]:
        """``{"latency_ms": ..., "latency_ms_spread": ...}``, the spread being relative, and the measurement's label.

        Args:
            seconds: of timing, after which the latency is taken however far its runs differ; None: as many as are
                usual.

        Raises:
            CandidateError: the study's method cannot run the network, or its runs differ too much, see the class.
        """
        if self._method is None and self._device == "cpu":
            self._method = self._decided(network)
        try:
            time = self._timed(network, seconds)
        except PASSED_ON:
            raise
        except UnsteadyError as error:
            raise CandidateError(f"its latency_ms cannot be measured: {error}") from error
        except Exception as error:
            if self._method in (None, "torch"):
                raise
            said = readable(f"{type(error).__name__}: {first_line_said(error)}")
            raise CandidateError(
                f"its latency_ms cannot be measured with {self._method}, the method of the whole study: {said}"
            ) from error
        self._method = self._method or _method_of(time.label)
        self._note_clock(time)
        return {"latency_ms": time.median_ms, "latency_ms_spread": time.spread}, time.label

    def _note_clock(self, time: Latency) -> None:
        known = self.clock.get(time.conditions)
        if time.mhz is None:
            now: Clocks = {time.conditions: []} if time.conditions else {}
        elif known and known[0] <= time.mhz * WIDER and time.mhz <= known[1] * WIDER:
            return
        else:
            now = {time.conditions: [round(time.mhz)]}
        self.clock = clocks(self.clock, now)

    def _timed(self, network: nn.Module, seconds: float | None) -> Latency:
        shape, known, known_ms = self._space.input_shape, self._space.teacher, self._space.teacher_ms
        if known is None or known_ms is None or self._device != "cpu":
            return latency(
                network, shape, device=self._device, method=self._method, seconds=seconds or USUAL,
                most_spread=None if seconds else MOST_SPREAD,
            )  # fmt: skip
        return latency_beside(network, known, known_ms, shape, self._method)

    def _decided(self, network: nn.Module) -> str:
        """The method on a CPU: ONNX Runtime if it can run this network and a few of the space, else eager torch."""
        shape = self._space.input_shape
        with untouched():
            torch.manual_seed(0)
            for candidate in [network, *self._some()]:
                error = export_error(candidate, shape)
                if error is not None:
                    log.warning(
                        "latency_ms is that of eager torch for all candidates, since ONNX Runtime cannot run some: %s",
                        readable(f"{type(error).__name__}: {first_line_said(error)}"),
                    )
                    return "torch"
        return "onnxruntime"

    def _some(self) -> Iterable[nn.Module]:
        """A few random networks of the space; those that cannot be built are left out."""
        for code in self._space.sample(LOOKS, np.random.default_rng(0)):
            try:
                yield self._space.build(code).eval()
            except PASSED_ON:
                raise
            except BaseException:
                continue


def warn_of_speed(device: str) -> None:
    """Log in one line, before a search that measures latencies on a CPU, if its clock is not kept high."""
    said = speed().varies if device == "cpu" else ""
    if said:
        log.getChild("clock").warning("%s", said)


def _method_of(label: str) -> str:
    """The method of a measurement, read from its label."""
    if label.startswith("onnxruntime"):
        return "onnxruntime"
    return "torch" if "eager" in label else "torch-graph"

"""A Ray cluster as a ``concurrent.futures`` executor: candidates are tasks, retried where a worker or a node dies."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from typing import Any

from searchkit.errors import SearchkitError, WorkerLostError, first_line_said
from searchkit.integrations.ray.connection import connect

SHIPPED = 1_000  # bytes from which an argument is put on the cluster once, instead of sent with every task

_kept: dict[Any, Any] = {}  # in a worker: the last shipped argument, by its reference


class RayExecutor(Executor):
    """Runs functions as tasks of a Ray cluster.

    ``searchkit.run(executor="ray")`` makes one with these defaults and ends it with the search; an object that
    you make may be used by any number of searches and ends with ``shutdown()``.

    Args:
        address: of the cluster: "ray://head:10001" (Ray client), "head:6379" (from a machine of the cluster); None: the
            one that this process is connected to already, or else that of ``RAY_ADDRESS`` or of this machine, or else
            a new one on this machine, which nothing outside of this machine can reach.
        cpus, gpus: that a candidate takes; fractions of a GPU let several share one.
        resources: of other kinds that it takes, such as ``{"pixel3": 1}``.
        retries: how often a candidate is retried after its worker or node died.

    Raises:
        SearchkitError: Ray is not installed, nothing answers at the address, or no node has what a candidate takes.
    """

    def __init__(
        self,
        address: str | None = None,
        *,
        cpus: float = 1,
        gpus: float = 0,
        resources: Mapping[str, float] | None = None,
        retries: int = 3,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise SearchkitError(
                'executor "ray" needs Ray, which is not installed: pip install "searchkit-nas[ray]"'
            ) from error
        self._ray = ray
        self._began = not ray.is_initialized()
        if self._began:
            connect(ray, address)
        try:
            need = {"CPU": cpus, "GPU": gpus, **(resources or {})}
            self._max_workers = _room(ray.nodes(), {name: n for name, n in need.items() if n})
        except BaseException:
            self.shutdown()
            raise
        self._retries = retries
        self._remote = ray.remote(
            num_cpus=cpus, num_gpus=gpus, resources=dict(resources or {}), max_retries=retries, retry_exceptions=False
        )
        self._plain = self._remote(_call)
        self._shipped: dict[int, tuple[bytes, Any]] = {}  # id -> the argument, and the task that has it

    def submit(self, fn: Callable[..., Any], /, *args: object, **kwargs: object) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` on the cluster; fails with WorkerLostError if its worker dies too often."""
        task, rest = self._plain, args
        if args and isinstance(args[0], bytes) and len(args[0]) > SHIPPED:
            task, rest = self._with(args[0]), args[1:]
        return _TaskFuture(self._ray, task.remote(fn, rest, kwargs), self._retries)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Disconnect from the cluster, or end it if this object started it."""
        if self._began:
            self._ray.shutdown()
            self._began = False

    def _with(self, value: bytes) -> Any:
        """A task with its first argument bound; passed with every call, Ray would count references to it each time."""
        if id(value) not in self._shipped:
            self._shipped[id(value)] = (value, self._remote(_calling_with(self._ray.put(value))))
        return self._shipped[id(value)][1]


class _TaskFuture(Future[Any]):
    """The outcome of a task; cancelled with it."""

    def __init__(self, ray: Any, reference: Any, retries: int) -> None:
        super().__init__()
        self._ray, self._reference, self._retries = ray, reference, retries
        reference.future().add_done_callback(self._take)

    def cancel(self) -> bool:
        """Cancel the task too, if it has not started."""
        cancelled = super().cancel()
        if cancelled and self._ray.is_initialized():
            self._ray.cancel(self._reference, force=False)
        return cancelled

    def _take(self, theirs: Future[Any]) -> None:
        if not self.set_running_or_notify_cancel():
            return
        error = theirs.exception()
        died = self._ray.exceptions
        if error is None:
            self.set_result(theirs.result())
        elif isinstance(error, died.WorkerCrashedError | died.NodeDiedError | died.OutOfMemoryError):
            said = first_line_said(error)
            times = "once" if self._retries == 0 else f"{self._retries + 1} times"
            self.set_exception(WorkerLostError(f"its worker on the Ray cluster died {times}: {said}"))
        else:
            self.set_exception(getattr(error, "cause", None) or error)  # what was raised there, without Ray's frame


def _call(fn: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return fn(*rest, **kwargs)


def _calling_with(where: Any) -> Callable[..., Any]:
    """A remote function that Ray sends to each worker once, with a reference to the argument."""

    def call(fn: Callable[..., Any], rest: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if where not in _kept:
            import ray

            _kept.clear()
            _kept[where] = ray.get(where)
        return fn(_kept[where], *rest, **kwargs)

    return call


def _room(nodes: list[dict[str, Any]], need: Mapping[str, float]) -> int:
    """How many candidates fit on the living nodes at the same time."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    room: int = sum(
        math.floor(min((node.get(name, 0) / n for name, n in need.items()), default=node.get("CPU", 1)) + 1e-9)
        for node in alive
    )
    if room < 1:
        names = [*need]
        have = "; ".join(", ".join(f"{name} {node.get(name, 0):g}" for name in names) for node in alive) or "none"
        raise SearchkitError(
            f"a candidate takes {', '.join(f'{name} {n:g}' for name, n in need.items())}, which no node of the Ray "
            f"cluster has; its nodes have: {have}"
        )
    return room

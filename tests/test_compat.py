"""Private names of dependencies: each stands in one file, and is there in what is installed.

The first tests to look at after an upgrade: what they say names the file to mend.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import re
import socket
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from helpers.repository import ROOT
from helpers.sources import Source, modules, source, sources
from optuna.storages import InMemoryStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from packaging.specifiers import SpecifierSet

from searchkit.execution.executor_compat import n_workers
from searchkit.runtime import torch_compat
from searchkit.storage import optuna_compat
from searchkit.storage.pymysql_compat import socket_of

# the package, the file in which its private names stand, and these names: what is imported, and what objects have
OPTUNA = ("optuna", "searchkit/storage/optuna_compat.py")
TPE = ("optuna", "strategies/tpe_compat.py")
TORCH = ("torch", "searchkit/runtime/torch_compat.py")
PYMOO = ("pymoo", "strategies/pymoo_compat.py")
SKLEARN = ("scikit-learn", "searchkit/integrations/sklearn_compat.py")
RAY = ("ray", "searchkit/integrations/ray_compat.py")
MLFLOW = ("mlflow", "searchkit/integrations/mlflow_compat.py")
LOKY = ("loky", "searchkit/execution/executor_compat.py")
PYMYSQL = ("PyMySQL", "searchkit/storage/pymysql_compat.py")
DISTRIBUTED = ("distributed", "searchkit/execution/executor_compat.py")
IMPORTED = {
    "optuna.storages._CachedStorage": OPTUNA,
    "optuna.study._frozen.FrozenStudy": OPTUNA,
    "optuna.samplers._lazy_random_state.LazyRandomState.rng": OPTUNA,
    "optuna._hypervolume.hssp._solve_hssp": TPE,
    "optuna.samplers._tpe._erf.pp.coef": TPE,
    "optuna.samplers._tpe._truncnorm._log_ndtr_single": TPE,
    "optuna.samplers._tpe._truncnorm._norm_pdf_logC": TPE,
    "optuna.samplers._tpe.parzen_estimator._ParzenEstimator._call_weights_func": TPE,
    "optuna.samplers._tpe.sampler._get_reference_point": TPE,
    "optuna.samplers._tpe.sampler.default_gamma_multiobjective": TPE,
    "optuna.samplers.TPESampler._get_params": TPE,
    "optuna.samplers.TPESampler._is_multivariate": TPE,
    "optuna.samplers.TPESampler._sample": TPE,
    "optuna.samplers.TPESampler._sample_relative": TPE,
    "optuna.search_space.group_decomposed._SearchSpaceGroup.add_distributions": TPE,
    "optuna.study._multi_objective._fast_non_domination_rank": TPE,
    "torch._foreach_copy_": TORCH,
    "torch._foreach_lerp_": TORCH,
    "torch._C._cuda_beginAllocateCurrentThreadToPool": TORCH,
    "torch._C._cuda_endAllocateToPool": TORCH,
    "torch._C._cuda_releasePool": TORCH,
    "torch._C._jit_is_onnx_log_enabled": TORCH,
    "torch._prims_common.suggest_memory_format": TORCH,
    "torch.cpu._is_amx_tile_supported": TORCH,
    "torch.ops.aten._cdist_forward": TORCH,
    "torch.ops.aten._trilinear": TORCH,
    "torch.ops.aten._linalg_det": TORCH,
    "torch.ops.aten._linalg_check_errors": TORCH,
    "torch.ops.aten._fft_r2c": TORCH,
    "torch.ops.aten._cudnn_rnn": TORCH,
    "torch.ops._c10d_functional.all_reduce": TORCH,
    "torch.nn.modules.batchnorm._BatchNorm": TORCH,
    "torch.utils._python_dispatch.TorchDispatchMode": TORCH,
    "pymoo.algorithms.base.genetic.GeneticAlgorithm._infill": PYMOO,
    "pymoo.core.algorithm.Algorithm._infill": PYMOO,
    "pymoo.core.sampling.Sampling._do": PYMOO,
    "pymoo.core.crossover.Crossover._do": PYMOO,
    "pymoo.core.mutation.Mutation._do": PYMOO,
    "sklearn.model_selection._search.BaseSearchCV._parameter_constraints": SKLEARN,
    "sklearn.model_selection._search.BaseSearchCV._run_search": SKLEARN,
    "sklearn.model_selection._search.BaseSearchCV._format_results": SKLEARN,
    "sklearn.utils.validation._check_sample_weight": SKLEARN,
}


def _study() -> optuna.Study:
    return optuna.create_study()


def _trial() -> Any:
    return optuna.create_trial(value=0.0)


def _cached() -> Any:
    return optuna.create_study(storage="sqlite://")._storage


def _journal() -> Any:
    return JournalStorage(JournalFileBackend("/dev/null"))


def _quasi_random() -> Any:
    with optuna_compat.quiet():
        return optuna.samplers.QMCSampler(warn_independent_sampling=False)


def _loky() -> Any:
    import loky

    return loky.ProcessPoolExecutor(max_workers=1)


def _dask() -> Any:
    pytest.importorskip("distributed")
    from distributed.cfexecutor import ClientExecutor

    return ClientExecutor(type("Client", (), {"loop": None, "nthreads": None})())


def _ray() -> Any:
    pytest.importorskip("ray")
    from ray.tune.search.optuna import OptunaSearch

    return OptunaSearch()


def _ray_module(name: str) -> Any:
    pytest.importorskip("ray")
    return importlib.import_module(name)


def _mlflow() -> Any:
    pytest.importorskip("mlflow")
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri="sqlite://")


def _pymysql() -> Any:
    return pytest.importorskip("pymysql").connections.Connection


def _compiled() -> Any:
    import torch

    return torch.compile(torch.nn.Identity(), backend="eager")


HELD: dict[str, tuple[tuple[str, str], Callable[[], Any]]] = {
    "optuna.Study._storage": (OPTUNA, _study),
    "optuna.Study._study_id": (OPTUNA, _study),
    "optuna.trial.FrozenTrial._trial_id": (OPTUNA, _trial),
    "optuna.storages.InMemoryStorage._lock": (OPTUNA, InMemoryStorage),
    "optuna.storages.InMemoryStorage._studies": (OPTUNA, InMemoryStorage),
    "optuna.storages._CachedStorage._backend": (OPTUNA, _cached),
    "optuna.storages._CachedStorage._lock": (OPTUNA, _cached),
    "optuna.storages._CachedStorage._read_trials_from_remote_storage": (OPTUNA, _cached),
    "optuna.storages._CachedStorage._studies": (OPTUNA, _cached),
    "optuna.storages.JournalStorage._replay_result": (OPTUNA, _journal),
    "optuna.storages.JournalStorage._replay_result._study_id_to_trial_ids": (OPTUNA, lambda: _journal()._replay_result),
    "optuna.storages.JournalStorage._replay_result._trials": (OPTUNA, lambda: _journal()._replay_result),
    "optuna.storages.JournalStorage._sync_with_backend": (OPTUNA, _journal),
    "optuna.storages.JournalStorage._thread_lock": (OPTUNA, _journal),
    "optuna.storages.JournalStorage._backend": (OPTUNA, _journal),
    "optuna.storages.JournalFileBackend._file_path": (OPTUNA, lambda: _journal()._backend),
    "optuna.storages.RDBStorage.scoped_session": (OPTUNA, lambda: RDBStorage("sqlite://")),
    "optuna.samplers.QMCSampler._seed": (OPTUNA, _quasi_random),
    "optuna.samplers.RandomSampler._rng": (TPE, optuna.samplers.RandomSampler),
    "optuna.samplers.TPESampler._constant_liar": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._gamma": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._group": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._n_ei_candidates": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._n_startup_trials": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._parzen_estimator_cls": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._parzen_estimator_parameters": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._random_sampler": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._rng": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._search_space_group": (TPE, optuna.samplers.TPESampler),
    "optuna.samplers.TPESampler._warn_independent_sampling": (TPE, optuna.samplers.TPESampler),
    "torch._dynamo.OptimizedModule._orig_mod": (TORCH, _compiled),
    "torch.Tensor._version": (TORCH, lambda: torch.zeros(1)),
    "concurrent.futures.ThreadPoolExecutor._max_workers": (("", LOKY[1]), lambda: ThreadPoolExecutor(1)),
    "concurrent.futures.ProcessPoolExecutor._max_workers": (("", LOKY[1]), lambda: ProcessPoolExecutor(1)),
    "loky.ProcessPoolExecutor._max_workers": (LOKY, _loky),
    "distributed.cfexecutor.ClientExecutor._client": (DISTRIBUTED, _dask),
    "distributed.Client.nthreads": (DISTRIBUTED, lambda: pytest.importorskip("distributed").Client),
    "pymysql.connections.Connection._sock": (PYMYSQL, _pymysql),
    "ray.tune.search.optuna.OptunaSearch._ot_study": (RAY, _ray),
    "ray.tune.search.optuna.OptunaSearch._ot_trials": (RAY, _ray),
    "ray.tune.search.optuna.OptunaSearch._completed_trials": (RAY, _ray),
    "ray.tune.search.optuna.OptunaSearch._space": (RAY, _ray),
    "ray._private.utils.read_ray_address": (RAY, lambda: _ray_module("ray._private.utils")),
    "ray._private.ray_constants.ENABLE_RAY_CLUSTER": (RAY, lambda: _ray_module("ray._private.ray_constants")),
    "mlflow.MlflowClient._tracking_client": (MLFLOW, _mlflow),
    "mlflow.MlflowClient._tracking_client.store": (MLFLOW, lambda: _mlflow()._tracking_client),
    "mlflow.MlflowClient._tracking_client.store.artifact_root_uri": (MLFLOW, lambda: _mlflow()._tracking_client.store),
    "mlflow.MlflowClient._tracking_client.store.db_uri": (MLFLOW, lambda: _mlflow()._tracking_client.store),
}


def check_imported(name: str, package: str, file: str) -> None:
    """Raise AssertionError with a sentence where a name cannot be found from its package on."""
    parts = name.split(".")
    found, done = importlib.import_module(parts[0]), parts[0]
    for part in parts[1:]:
        try:
            found = getattr(found, part)
        except AttributeError:
            try:
                found = importlib.import_module(f"{done}.{part}")
            except ImportError:
                pytest.fail(moved(name, package, file), pytrace=False)
        done = f"{done}.{part}"


def check_held(name: str, package: str, file: str, holder: Any) -> None:
    if not hasattr(holder, name.rpartition(".")[2]):
        pytest.fail(moved(name, package, file), pytrace=False)


def moved(name: str, package: str, file: str) -> str:
    version = importlib.metadata.version(package) if package else ".".join(map(str, sys.version_info[:3]))
    return f"{package or 'Python'} {version} has no {name} any more: find where it went, and mend {file}"


@pytest.mark.parametrize("name", IMPORTED)
def test_what_is_imported_is_there(name: str) -> None:
    check_imported(name, *IMPORTED[name])


@pytest.mark.parametrize("name", HELD)
@pytest.mark.filterwarnings("ignore")  # of what is made here and not used
def test_what_objects_have_is_there(name: str) -> None:
    which, make = HELD[name]
    check_held(name, *which, make())


def test_what_has_moved_is_named_in_a_sentence() -> None:
    said = "optuna [0-9.]+ has no optuna.storages._Gone any more: find where it went, and mend searchkit/storage/"
    with pytest.raises(pytest.fail.Exception, match=said):
        check_imported("optuna.storages._Gone", *OPTUNA)
    with pytest.raises(pytest.fail.Exception, match="has no optuna.Study._gone any more"):
        check_held("optuna.Study._gone", *OPTUNA, _study())


@pytest.mark.parametrize(
    ("package", "file"), [OPTUNA, TPE, TORCH, PYMOO, SKLEARN, RAY, MLFLOW, LOKY, DISTRIBUTED, PYMYSQL]
)
def test_a_file_says_on_which_version_it_was_checked(package: str, file: str) -> None:
    (pinned,) = re.findall(rf"^{package}==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    said = re.findall(rf"{package} (\d[\d.]*\d)", ast.get_docstring(source(ROOT / file).tree) or "", re.I)
    assert said == [pinned], f"constraints.txt pins {package} {pinned}: check the names, and say so in {file}"


def declared() -> dict[str, str]:
    """The bounds of every dependency, extras too, by its name; those of tools for tests where they have any."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *(line for extra in project["optional-dependencies"].values() for line in extra)]
    split = [re.fullmatch(r"([\w-]+)(?:\[[^\]]*\])?(.*)", line) for line in lines]
    return {found[1]: found[2] for found in split if found and not found[1].startswith("searchkit")}


def test_every_dependency_ends_before_versions_nobody_has_seen() -> None:
    open_ended = {name for name, bounds in declared().items() if "<" not in bounds}
    assert open_ended <= {"pandas-stubs", "setuptools", "types-tqdm"}, "give it an upper bound in pyproject.toml"


def test_what_is_tested_is_what_is_allowed() -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    for name, bounds in declared().items():
        if name in pins:
            assert pins[name] in SpecifierSet(bounds), (
                f"constraints.txt pins {name} {pins[name]}, which is not {bounds}"
            )


OF_EXTRAS = {  # modules of packages that need not be there when tests run -> the package
    "openvino": "openvino", "executorch": "executorch", "litert_torch": "litert-torch",
    "ai_edge_litert": "ai-edge-litert",
}  # fmt: skip


def top_imports(module: Source) -> set[str]:
    """The packages that a module imports from."""
    named = {alias.name for node in module.nodes(ast.Import) for alias in node.names}
    return {name.split(".")[0] for name in named | {node.module or "sys" for node in module.nodes(ast.ImportFrom)}}


def test_what_is_imported_is_declared() -> None:
    packages = importlib.metadata.packages_distributions()
    names = {name.lower() for name in declared()} | {"nvidia-ml-py"}
    for module, parsed in sources().items():
        for top in top_imports(parsed) - {*sys.stdlib_module_names, "searchkit"}:
            if top in OF_EXTRAS:
                assert OF_EXTRAS[top] in names
                continue
            with_torch = top == "triton"  # a part of torch's CUDA builds, and imported only where it is there
            assert {name.lower() for name in packages.get(top, [])} & names or top == "pynvml" or with_torch, (
                f"{module} imports {top}, which pyproject.toml does not have"
            )


def libraries(module: Source) -> dict[str, str]:
    """Names of a file that stand for something of another library -> its dotted name there.

    That is what is imported, under any name, and what a plain assignment takes from it (``aten = torch.ops.aten``).
    """
    found: dict[str, str] = {}
    for alias in (alias for node in module.nodes(ast.Import) for alias in node.names):
        found[alias.asname or alias.name.split(".")[0]] = alias.name if alias.asname else alias.name.split(".")[0]
    for taken_from in module.nodes(ast.ImportFrom):
        found |= {alias.asname or alias.name: f"{taken_from.module}.{alias.name}" for alias in taken_from.names}
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name | ast.Attribute):
            found |= {ast.unparse(target): taken for target in node.targets if (taken := whole_name(node.value, found))}
    ours = ("searchkit", "strategies", "proxies", "__future__")
    return {name: dotted for name, dotted in found.items() if dotted.split(".")[0] not in ours or dotted in OF_OURS}


OF_OURS = {"searchkit.runtime.meta_operations.aten"}  # torch's, passed on


def whole_name(node: ast.expr, known: dict[str, str]) -> str:
    """The dotted name from its library on of what is read; empty where it is no other library's."""
    read = ast.unparse(node)
    root, dot, rest = read.partition(".")
    return f"{known[root]}{dot}{rest}" if root in known and re.fullmatch(r"[\w.]+", read) else ""


def is_private(dotted: str) -> bool:
    return re.search(r"(^|\.)_[a-z]", dotted, re.I) is not None and dotted not in DOCUMENTED


DOCUMENTED = {"os._exit"}  # public, whatever they are called


def private_names(module: Source) -> Iterator[str]:
    """Names with an underscore that a file takes from other libraries, or by which their objects keep something."""
    held = {name for name in (name.rpartition(".")[2] for name in HELD) if name.startswith("_")}
    known = libraries(module)
    for imported in module.nodes(ast.ImportFrom):
        if not str(imported.module).startswith(("searchkit", "__future__")):
            yield from filter(is_private, (f"{imported.module}.{alias.name}" for alias in imported.names))
    for plain in module.nodes(ast.Import):
        yield from filter(is_private, (alias.name for alias in plain.names))
    for read in module.nodes(ast.Attribute):
        dotted = whole_name(read, known)
        if is_private(dotted) or (read.attr in held and not ast.unparse(read).startswith("self._")):
            yield dotted or ast.unparse(read)
    for call in module.nodes(ast.Call):
        if call.args:
            yield from private_texts(call, held, known)


def private_texts(node: ast.Call, held: set[str], known: dict[str, str]) -> Iterator[str]:
    """Private names that a call is given as texts: ``getattr(executor, "_client")``, ``import_module("torch._C")``."""
    texts = [str(one.value) for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    called = ast.unparse(node.func).rpartition(".")[2]
    if called in ("getattr", "hasattr", "setattr", "attrgetter") and texts:
        library = whole_name(node.args[0], known)
        if texts[0] in held or (library and is_private(f"{library}.{texts[0]}")):
            yield ast.unparse(node)
    elif called in ("import_module", "__import__", "importorskip") and texts and not texts[0].startswith("searchkit"):
        yield from filter(is_private, texts[:1])


def test_no_other_file_uses_a_private_name() -> None:
    others = [path for path in modules().values() if not path.stem.endswith("_compat")]
    found = {str(path.relative_to(ROOT)): list(private_names(source(path))) for path in others}
    assert not {path: names for path, names in found.items() if names}, "it belongs in the _compat.py of its library"


@pytest.mark.parametrize(
    "planted",
    [
        "from optuna.storages import _CachedStorage",
        "import torch.utils._python_dispatch",
        "from optuna.study._frozen import FrozenStudy",
        "torch._foreach_add_(a, b)",
        "torch.utils._pytree.tree_map(f, a)",
        "study._storage.get_trial(0)",
        "getattr(executor, '_max_workers', None)",
        "import torch as t\nt._C",
        "import numpy as np\nnp._core.multiarray",
        "import pandas\npandas._libs.lib",
        "from torch import nn as n\nn.modules.module._global_hooks()",
        "from pandas import api\napi.types._x",
        "aten = torch.ops.aten\naten._trilinear",
        "from searchkit.runtime.meta_operations import aten\naten._trilinear",
        "getattr(torch, '_C')",
        "import importlib\nimportlib.import_module('torch._C')",
        "connection._sock.fileno()",
    ],
)
def test_a_private_name_elsewhere_is_seen(planted: str) -> None:
    assert len(list(private_names(Source(f"import torch\n{planted}\n")))) >= 1


def test_optuna_objects_are_seen_through(tmp_path: Path) -> None:
    storage = RDBStorage(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=storage)
    cached = optuna_compat.storage_of(study)
    assert cached is not storage
    assert optuna_compat.database_behind(cached) is storage is optuna_compat.database_behind(storage)
    assert optuna_compat.database_behind(InMemoryStorage()) is None
    journal = JournalStorage(JournalFileBackend(str(tmp_path / "a.journal")))
    assert optuna_compat.file_behind(journal) == tmp_path / "a.journal"
    assert optuna_compat.file_behind(storage) is None
    storage.engine.dispose()


def test_optuna_trials_are_noted_and_numbered_anew() -> None:
    study = optuna.create_study()
    study.add_trial(optuna.create_trial(value=1.0))
    study.ask()
    first, running = optuna_compat.all_trials(optuna_compat.whole_study(study))
    optuna_compat.note(study, running, "a key", 3)
    assert optuna_compat.all_trials(study)[1].system_attrs == {"a key": 3}
    assert optuna_compat.trial_id(first) == 0
    optuna_compat.renumber(first, 7)
    assert (first.number, optuna_compat.trial_id(first)) == (7, 7)


def test_optuna_works_on_the_sessions_that_it_is_given() -> None:
    storage = RDBStorage("sqlite://")
    asked: list[int] = []

    def session() -> Any:
        asked.append(1)
        return storage.scoped_session()

    other = optuna_compat.on_session(storage, session)
    optuna.create_study(storage=other, study_name="a")
    assert asked
    assert [study.study_name for study in storage.get_all_studies()] == ["a"]
    storage.engine.dispose()


def test_optuna_keeps_constraints_where_the_dashboard_reads_them() -> None:
    trial = optuna.create_trial(value=0.0, constraints={"a": 1.0})
    assert any(key.startswith(optuna_compat.CONSTRAINTS) for key in trial.system_attrs), (
        f"Optuna {optuna.__version__} keeps constraints elsewhere than in 'constraints': mend {OPTUNA[1]}"
    )


def test_optuna_generators_are_told_from_other_attributes() -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    (found,) = [value for value in vars(sampler).values() if optuna_compat.is_lazy_generator(value)]
    assert found.rng is not None
    assert isinstance(getattr(_quasi_random(), optuna_compat.SEED), int)


def test_connections_say_which_socket_is_theirs() -> None:
    """Of psycopg, which has a method for it, and of PyMySQL, which keeps the socket."""
    ends = socket.socketpair()
    with ends[0], ends[1]:
        psycopg = type("Connection", (), {"fileno": ends[0].fileno})()
        assert socket_of(psycopg) == ends[0].fileno()
        pymysql = pytest.importorskip("pymysql").connections.Connection(defer_connect=True)
        pymysql._sock = ends[1]
        assert socket_of(pymysql) == ends[1].fileno()


def test_torch_copies_and_moves_many_tensors() -> None:
    targets, ends = [torch.zeros(2), torch.zeros(3)], [torch.ones(2), torch.ones(3)]
    torch_compat.lerp_all(targets, ends, 0.25)
    assert [t.tolist() for t in targets] == [[0.25] * 2, [0.25] * 3]
    torch_compat.copy_all(targets, ends)
    assert [t.tolist() for t in targets] == [[1.0] * 2, [1.0] * 3]


def test_torch_kinds_are_what_they_were() -> None:
    for norm in (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d, torch.nn.SyncBatchNorm):
        assert issubclass(norm, torch_compat.BatchNorm)
    lies_last = torch.empty(1, 2, 3, 3).to(memory_format=torch.channels_last)
    assert torch_compat.suggest_memory_format(lies_last) == torch.channels_last
    seen = []

    class Mode(torch_compat.DispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    with Mode():
        torch.ones(1) + 1
    assert torch.ops.aten.add.Tensor in seen


def test_a_search_of_scikit_learn_is_handed_its_callbacks() -> None:
    from sklearn.model_selection import GridSearchCV

    (base,) = [kind for kind in GridSearchCV.__mro__ if kind.__name__ == "BaseSearchCV"]
    assert list(inspect.signature(base._run_search).parameters)[:2] == ["self", "evaluate_candidates"]


def test_executors_say_how_many_jobs_they_run() -> None:
    with ThreadPoolExecutor(3) as threads:
        assert n_workers(threads) == 3
    dask = type("Dask", (), {"_client": type("Client", (), {"nthreads": staticmethod(lambda: {"a": 2, "b": 3})})})
    assert n_workers(dask()) == 5
    assert n_workers(object()) == 1


def test_pymoo_proposals_are_places_unless_they_say_more() -> None:
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.algorithms.soo.nonconvex.de import DE

    from searchkit.strategies.pymoo_compat import infills_are_places

    assert infills_are_places(NSGA2(pop_size=4))
    assert not infills_are_places(DE(pop_size=np.int64(4)))


def test_compat_files_bring_their_own_library_only() -> None:
    heavy = ["torch", "sklearn", "pymoo", "ray", "mlflow"]
    code = f"import sys, searchkit.storage.optuna_compat as _; print([n for n in {heavy} if n in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"

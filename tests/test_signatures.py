"""Public signatures say types: those that still have ``Any`` stand in one table, each with its reason."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping

import pytest
from helpers.sources import Source, sources

JSON = "JSON values of a record, which are checked where they are read"
CHOSEN = "options of a choice, which may be of any type"
ARGUMENTS = "arguments of searchkit.run before they are checked; the signature of run has their types"
KEPT = "JSON values or tensors of a checkpoint, which the same class wrote"
LIBRARY = "an object of another library, which is imported only where it is used"
OVERRIDDEN = "the signature of the library whose method this overrides"
USERS = "what a user's function returns or takes, which is checked where it is used"
PASSED_ON = "keyword arguments that are passed on to the class which names them"
RECORDING = "what a pass records of a network, a type of its own for each pass"
TORCH = "what torch's operations take and return"
READ = "a user's data, read and checked by the caller"

# module.name -> reason
KNOWN = {
    "searchkit.preview.plan": ARGUMENTS,
    "searchkit.ask_and_tell.recorded.Known.arguments": ARGUMENTS,
    "searchkit.ask_and_tell.recorded.Known.header": JSON,
    "searchkit.assembly.opener_of": JSON,
    "searchkit.blocks.block_costs.BlockCosts.read": JSON,
    "searchkit.cli.json_reading.read_json": JSON,
    "searchkit.cli.values.budget_of": JSON,
    "searchkit.cli.values.read_budget": ARGUMENTS,
    "searchkit.execution.at_work.Kept.note": JSON,
    "searchkit.execution.at_work.Kept.notes": JSON,
    "searchkit.execution.executors.workers_of": LIBRARY,
    "searchkit.integrations.mlflow_compat.keep_artefacts_in": LIBRARY,
    "searchkit.option_values.call_of": JSON,
    "searchkit.option_values.identity_of": JSON,
    "searchkit.option_values.refuse_network_arguments": ARGUMENTS,
    "searchkit.options.Options.plan": JSON,
    "searchkit.results.baselines.Source.__init__": READ,
    "searchkit.results.baselines.rows_of": JSON,
    "searchkit.results.export_description.described": JSON,
    "searchkit.results.export_description.with_those_before": JSON,
    "searchkit.results.found_studies.recorded_note": JSON,
    "searchkit.results.found_studies.recorded_header": JSON,
    "searchkit.results.refit.refit": JSON,
    "searchkit.results.refit.steps_on_record": JSON,
    "searchkit.results.result.Result.refit": JSON,
    "searchkit.results.studies.Study.finals": JSON,
    "searchkit.results.studies.Study.notes": JSON,
    "searchkit.results.studies.Study.simple": JSON,
    "searchkit.results.studies.as_recorded": JSON,
    "searchkit.results.studies.registered_space": JSON,
    "searchkit.results.tables.Tables.__init__": JSON,
    "searchkit.results.tables.Tables.classes": CHOSEN,
    "searchkit.results.tables.Tables.read_timings": JSON,
    "searchkit.search.finals.not_shorter": JSON,
    "searchkit.search.finals.train_finals": JSON,
    "searchkit.search.plan.Plan.described": JSON,
    "searchkit.search.plan.Plan.from_record": JSON,
    "searchkit.space.narrower_space.NarrowerSpace.describe": JSON,
    "searchkit.space.narrower_space.narrowed_as": JSON,
    "searchkit.space.precision_space.PrecisionSpace.describe": JSON,
    "searchkit.space.recipe_space.RecipeSpace.describe": JSON,
    "searchkit.space.recipe_space.with_settings": JSON,
    "searchkit.space.wider_space.WiderSpace.describe": JSON,
    "searchkit.spaces.residual_plan.stage_table": CHOSEN,
    "searchkit.storage.recorded_study.RecordedStudy.attributes": JSON,
    "searchkit.training.baselines.baselines": JSON,
    "searchkit.training.own_recipe.recorded_recipe": JSON,
    "searchkit.api.run": CHOSEN,
    "searchkit.training.checkpoints.read_checkpoint": KEPT,
    "searchkit.search.network_identity.identity_of": JSON,
    "searchkit.search.one_shot.read_evaluation": ARGUMENTS,
    "proxies.one_shot.OneShot.__init__": PASSED_ON,
    "searchkit.sharing.bank.Bank.restore": KEPT,
    "searchkit.sharing.bank.Bank.state": KEPT,
    "searchkit.sharing.policies.grouped.Grouped.restore": KEPT,
    "searchkit.sharing.policies.grouped.Grouped.state": KEPT,
    "searchkit.sharing.policies.protocol.Policy.restore": KEPT,
    "searchkit.sharing.policies.protocol.Policy.state": KEPT,
    "searchkit.sharing.policies.shrinking.Shrinking.restore": KEPT,
    "searchkit.sharing.policies.shrinking.Shrinking.state": KEPT,
    "searchkit.sharing.policies.tree.Tree.restore": KEPT,
    "searchkit.sharing.policies.tree.Tree.state": KEPT,
    "searchkit.sharing.policies.uniform.Fair.restore": KEPT,
    "searchkit.sharing.policies.uniform.Fair.state": KEPT,
    "searchkit.sharing.policies.uniform.Uniform.restore": KEPT,
    "searchkit.sharing.policies.uniform.Uniform.state": KEPT,
    "searchkit.sharing.shared_weights.SharedWeights.described": JSON,
    "searchkit.benchmarks.benchmark.Benchmark.evaluate": CHOSEN,
    "searchkit.cli.values.read_space": ARGUMENTS,
    "searchkit.cli.values.read_candidate": CHOSEN,
    "searchkit.cli.values.read_data": ARGUMENTS,
    "searchkit.cli.values.read_executor": ARGUMENTS,
    "searchkit.cli.values.read_option": CHOSEN,
    "searchkit.cli.values.read_recipe": ARGUMENTS,
    "searchkit.cli.values.recorded_call": JSON,
    "searchkit.cli.values.recorded_recipe": JSON,
    "searchkit.runtime.meta_operations.QuickShapes.__torch_dispatch__": TORCH,
    "searchkit.runtime.meta_operations.run": TORCH,
    "searchkit.costs.metrics.read_metrics": ARGUMENTS,
    "searchkit.data.images.read_npz": READ,
    "searchkit.execution.external.ExternalPool.__init__": LIBRARY,
    "searchkit.execution.outcome.Job.arguments": USERS,
    "searchkit.execution.outcome.attempt_in_turns": USERS,
    "searchkit.integrations.mlflow_compat.store_of": LIBRARY,
    "searchkit.integrations.optuna.distributions.Searched.code": CHOSEN,
    "searchkit.integrations.optuna.distributions.Searched.value": CHOSEN,
    "searchkit.integrations.optuna.distributions.texts_of": CHOSEN,
    "searchkit.integrations.optuna.parameters.Parameters.values": CHOSEN,
    "searchkit.integrations.optuna.sampler.SearchkitSampler.sample_relative": OVERRIDDEN,
    "searchkit.integrations.optuna.sampler.SearchkitSampler.sample_independent": OVERRIDDEN,
    "searchkit.integrations.optuna.sampler.suggest": CHOSEN,
    "searchkit.integrations.optuna.screening.Screeners.proxies": "proxies, and signals of several kinds",
    "searchkit.integrations.optuna.tpe_options.check_further": PASSED_ON,
    "searchkit.integrations.ray.connection.connect": LIBRARY,
    "searchkit.integrations.ray.executor.RayExecutor.submit": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.__init__": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.set_search_properties": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.suggest": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.on_trial_result": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.on_trial_complete": OVERRIDDEN,
    "searchkit.integrations.ray.searcher.SearchkitSearcher.add_evaluated_point": OVERRIDDEN,
    "searchkit.integrations.ray_compat.study_of": LIBRARY,
    "searchkit.integrations.ray_compat.trials_of": LIBRARY,
    "searchkit.integrations.ray_compat.completed_of": LIBRARY,
    "searchkit.integrations.ray_compat.space_of": LIBRARY,
    "searchkit.integrations.sklearn.cv.SearchkitCV.__init__": "stored as it is given, and checked in fit",
    "searchkit.integrations.sklearn.data.parts": LIBRARY,
    "searchkit.integrations.sklearn.folds.Folds.__init__": LIBRARY,
    "searchkit.integrations.sklearn.folds.with_failed": "rows of scikit-learn's cv_results_",
    "searchkit.integrations.sklearn.grid.Grid.parameters": CHOSEN,
    "searchkit.integrations.sklearn.grid.Grid.values": CHOSEN,
    "searchkit.integrations.sklearn.search.checked": LIBRARY,
    "searchkit.integrations.sklearn.search.searched": LIBRARY,
    "searchkit.integrations.sklearn.search.outputs": LIBRARY,
    "searchkit.integrations.sklearn_compat.SearchCV.format_results": OVERRIDDEN,
    "searchkit.integrations.trackers.common.required": LIBRARY,
    "searchkit.integrations.trackers.common.described": LIBRARY,
    "searchkit.integrations.trackers.events.scalars": LIBRARY,
    "searchkit.integrations.trackers.events.text": LIBRARY,
    "searchkit.integrations.trackers.events.picture": LIBRARY,
    "searchkit.integrations.trackers.hparams.experiment": LIBRARY,
    "searchkit.integrations.trackers.runs.Runs.__init__": LIBRARY,
    "searchkit.lazy.lazily": "the names of a package, of any type",
    "searchkit.option_values.grouped_training": ARGUMENTS,
    "searchkit.option_values.own_recipe": ARGUMENTS,
    "searchkit.option_values.grouped_proxies": ARGUMENTS,
    "searchkit.option_values.once": ARGUMENTS,
    "searchkit.options.Options.parts": JSON,
    "searchkit.options.Options.header": JSON,
    "searchkit.options.Options.strategy": ARGUMENTS,
    "searchkit.options.Options.proxies": ARGUMENTS,
    "searchkit.options.Options.executor": ARGUMENTS,
    "searchkit.options.Options.storage": ARGUMENTS,
    "searchkit.options.Options.place": ARGUMENTS,
    "searchkit.option_reading.read_options": ARGUMENTS,
    "searchkit.plugins.resolve": "whatever a plug-in registered, checked by the caller",
    "searchkit.proxy_layer.setup.read_proxies": ARGUMENTS,
    "searchkit.proxy_layer.setup.Asked.executor": ARGUMENTS,
    "searchkit.proxy_layer.setup.report": JSON,
    "searchkit.proxy_layer.trust_table.trust_row": JSON,
    "searchkit.random_state.RandomStates.numpy": "a state that only numpy reads",
    "searchkit.random_state.RandomStates.python": "a state that only Python reads",
    "searchkit.results.columns.option_column": CHOSEN,
    "searchkit.results.plots.draw": "a figure of matplotlib or of plotly, by the ending of the file",
    "searchkit.results.report.candidates.candidates": JSON,
    "searchkit.results.report.facts.Facts.context": JSON,
    "searchkit.results.report.progress.payload": JSON,
    "searchkit.results.result.Result.best": "a row of a data frame, whose values differ in type",
    "searchkit.results.result.Result.plot": "a figure of matplotlib or of plotly, by the ending of the file",
    "searchkit.results.studies.Study.header": JSON,
    "searchkit.results.studies.Study.verified": JSON,
    "searchkit.results.studies.Study.trust": JSON,
    "searchkit.results.studies.space_of": JSON,
    "searchkit.results.studies.goals_of": JSON,
    "searchkit.scoring.passes.feature_maps.stage_method": RECORDING,
    "searchkit.scoring.passes.passes.run": RECORDING,
    "searchkit.scoring.protocols.Pass.run": RECORDING,
    "searchkit.scoring.protocols.NetworkProxy.values": RECORDING,
    "searchkit.search.network_task.NetworkTask.identity": JSON,
    "searchkit.search.network_task.NetworkTask.context": JSON,
    "searchkit.search.study.Study.notes": JSON,
    "searchkit.search.study.go_on": JSON,
    "searchkit.search.task.Task.identity": JSON,
    "searchkit.search.task.Task.context": JSON,
    "searchkit.search.task.FunctionTask.context": JSON,
    "searchkit.search.task.FunctionTask.identity": JSON,
    "searchkit.space.choice.Choice.describe": JSON,
    "searchkit.space.choice.Choice.option": CHOSEN,
    "searchkit.space.choice.Choice.options": CHOSEN,
    "searchkit.space.node.Node.left_out": CHOSEN,
    "searchkit.space.conditions.When.describe": JSON,
    "searchkit.space.conditions.When.values": CHOSEN,
    "searchkit.space.dictionaries.decoded": CHOSEN,
    "searchkit.space.labels.labels_of": CHOSEN,
    "searchkit.space.labels.plain": CHOSEN,
    "searchkit.space.labels.label_text": CHOSEN,
    "searchkit.space.labels.described": CHOSEN,
    "searchkit.space.node.Node.optional": CHOSEN,
    "searchkit.space.network_space.NetworkSpace.__init__": CHOSEN,
    "searchkit.space.network_space.NetworkSpace.describe": JSON,
    "searchkit.space.parameters.read_parameters": JSON,
    "searchkit.space.prior.described": JSON,
    "searchkit.space.space.Space.decode": CHOSEN,
    "searchkit.space.space.Space.describe": JSON,
    "searchkit.spaces.tabular.build": CHOSEN,
    "searchkit.storage.header.compare_headers": JSON,
    "searchkit.storage.header.upgraded": JSON,
    "searchkit.storage.header.check_format": JSON,
    "searchkit.storage.header.plain": JSON,
    "searchkit.storage.header_check.checked_header": JSON,
    "searchkit.storage.journal.JournalFile.read_logs": JSON,
    "searchkit.storage.journal.JournalFile.append_logs": JSON,
    "searchkit.storage.journal.line_of": JSON,
    "searchkit.storage.journal.read_line": JSON,
    "searchkit.storage.header.without_guesses": JSON,
    "searchkit.storage.optuna_compat.note": JSON,
    "searchkit.storage.optuna_compat.on_session": LIBRARY,
    "searchkit.storage.optuna_record.OptunaRecord.__init__": JSON,
    "searchkit.storage.optuna_record.OptunaRecord.notes": JSON,
    "searchkit.storage.optuna_record.OptunaRecord.noted": JSON,
    "searchkit.storage.record.Record.notes": JSON,
    "searchkit.storage.record.Record.noted": JSON,
    "searchkit.storage.record.Memory.notes": JSON,
    "searchkit.storage.record.Memory.noted": JSON,
    "searchkit.training.evaluation.Evaluation.__call__": USERS,
    "searchkit.training.evaluation.Evaluation.user_function": USERS,
    "searchkit.training.evaluation.Evaluation.in_turns": USERS,
    "searchkit.training.evaluation.FunctionEvaluation.user_function": USERS,
    "searchkit.training.evaluation.FunctionEvaluation.__call__": USERS,
    "strategies.gaussian_process.BoTorchProcess.posterior": OVERRIDDEN,
    "strategies.nsga3.NSGA3.__init__": PASSED_ON,
    "searchkit.storage.parameters.CodeReader.__call__": CHOSEN,
    "strategies.optuna_parameters.OptunaParameters.of": CHOSEN,
    "strategies.optuna_parameters.OptunaParameters.read": CHOSEN,
    "strategies.optuna_parameters.single_value": CHOSEN,
    "strategies.optuna_storage.Shelf.get_study_system_attrs": OVERRIDDEN,
    "strategies.optuna_storage.Shelf.get_study_user_attrs": OVERRIDDEN,
    "strategies.tpe.TPE.__init__": PASSED_ON,
    "strategies.tpe_stand_in.StandIn.sample_independent": OVERRIDDEN,
    "proxies.dna.DNA.__init__": PASSED_ON,
    "proxies.eproxy.Eproxy.values": RECORDING,
    "proxies.eproxy_mean.EproxyMean.values": RECORDING,
    "proxies.eproxy_setting.EproxySetting.of": JSON,
    "searchkit.compression.layer_calls.Recorder.__torch_function__": OVERRIDDEN,
    "searchkit.costs.autocast.HalfPrecision.__torch_function__": OVERRIDDEN,
    "searchkit.costs.memory_tracker.LiveMemory.__torch_dispatch__": OVERRIDDEN,
    "searchkit.scoring.passes.activation_signs.Patterns.__torch_function__": OVERRIDDEN,
    "searchkit.scoring.passes.activation_signs.Signs.__torch_function__": OVERRIDDEN,
    "searchkit.integrations.sklearn.distributions.Distribution.pmf": LIBRARY,
    "searchkit.integrations.sklearn.distributions.Distribution.ppf": LIBRARY,
    "searchkit.integrations.sklearn.distributions.Quantiles.__getitem__": CHOSEN,
    "searchkit.integrations.sklearn.distributions.of_distribution": CHOSEN,
    "searchkit.integrations.optuna.sampler.SearchkitSampler.__init__": CHOSEN,
    "searchkit.integrations.optuna.screening.Screeners.functions": CHOSEN,
    "searchkit.integrations.sklearn.estimators.SearchClassifier.__sklearn_tags__": OVERRIDDEN,
    "searchkit.integrations.sklearn.estimators.SearchRegressor.__sklearn_tags__": OVERRIDDEN,
}


def any_names(module: Source, others: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """Names of a module that stand for ``Any`` or for a type that has it, such as an alias or an import of one.

    Args:
        others: module -> such names of it, of modules from which this one may import.
    """
    named: set[str] = set()
    for node in module.nodes(ast.Import):
        named |= {f"{alias.asname or alias.name}.Any" for alias in node.names if alias.name in TYPING}
    for taken in module.nodes(ast.ImportFrom):
        theirs = {"Any"} if taken.module in TYPING else others.get(str(taken.module), frozenset())
        named |= {alias.asname or alias.name for alias in taken.names if alias.name in theirs}
    for statement in statements(module.tree.body):
        if isinstance(statement, ast.Assign) and has_any(statement.value, named, calls=False):
            named |= {ast.unparse(target) for target in statement.targets}
        elif isinstance(statement, ast.AnnAssign) and ast.unparse(statement.annotation).endswith("TypeAlias"):
            named |= {ast.unparse(statement.target)} if has_any(statement.value, named) else set()
        elif isinstance(statement, TYPE_STATEMENT) and has_any(statement.value, named):
            named.add(ast.unparse(statement.name))
    return frozenset(named)


TYPING = ("typing", "typing_extensions")
TYPE_STATEMENT: type = getattr(ast, "TypeAlias", type(None))  # ``type X = ...``, of Python 3.12


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module or a class, also those under a condition."""
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from statements([*node.body, *getattr(node, "orelse", [])])


def has_any(node: ast.AST | None, named: Collection[str], calls: bool = True) -> bool:
    """Whether an annotation has ``Any``; an array of any dtype and a data set of any items say their type.

    Args:
        named: the names that stand for it.
        calls: look into calls too; a value that is made by a call is no type.
    """
    if node is None or (isinstance(node, ast.Call | ast.Lambda) and not calls):
        return False
    if isinstance(node, ast.Subscript):
        if ast.unparse(node) in ("npt.NDArray[Any]", "Dataset[Any]"):
            return False
        if ast.unparse(node.value).rpartition(".")[2] == "Literal":
            return False
        if ast.unparse(node.value).rpartition(".")[2] == "Annotated" and isinstance(node.slice, ast.Tuple):
            return has_any(node.slice.elts[0], named, calls)  # what follows is said of the type
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and calls:
        return has_any(ast.parse(node.value, mode="eval").body, named) if node.value.isascii() else False
    if isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in named:
        return True
    return any(has_any(child, named, calls) for child in ast.iter_child_nodes(node))


def signatures(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, list[ast.expr | None]]]:
    """Names and annotations of the public functions, methods (special ones too) and attributes of classes."""
    for node in statements(body):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from signatures(node.body, f"{prefix}.{node.name}")
            for attribute in statements(node.body):
                if isinstance(attribute, ast.AnnAssign) and not ast.unparse(attribute.target).startswith("_"):
                    yield f"{prefix}.{node.name}.{ast.unparse(attribute.target)}", [attribute.annotation]
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            given = node.args
            every = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
            yield f"{prefix}.{node.name}", [node.returns, *(one.annotation for one in every if one is not None)]


def is_public(name: str) -> bool:
    return not name.startswith("_") or (name.startswith("__") and name.endswith("__"))


def with_any(name: str, module: Source, others: Mapping[str, frozenset[str]]) -> list[str]:
    """The public signatures of a module that have ``Any``."""
    named = any_names(module, others)
    return [found for found, types in signatures(module.tree.body, name) if any(has_any(one, named) for one in types)]


def aliases() -> dict[str, frozenset[str]]:
    """Module -> its names for types that have ``Any``, also those that it imports from another module."""
    found: dict[str, frozenset[str]] = {}
    while True:
        again = {module: any_names(parsed, found) for module, parsed in sources().items()}
        if again == found:
            return found
        found = again


def test_a_public_signature_without_a_type_has_a_reason() -> None:
    others = aliases()
    found = {one for module, parsed in sources().items() for one in with_any(short(module), parsed, others)}
    assert sorted(found - set(KNOWN)) == [], "say a type; or object, where anything may be given and is checked"
    assert sorted(set(KNOWN) - found) == [], "these have types now: take them out of the table"


def short(module: str) -> str:
    """The module as the table calls it: strategies and proxies by their folder."""
    inside = module.removeprefix("searchkit.")
    return inside if inside.partition(".")[0] in ("strategies", "proxies") else module


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f(x: Any) -> int: ...", ["m.f"]),
        ("async def f(x: Any) -> int: ...", ["m.f"]),
        ("def f(x: 'Any', y: list['int']) -> int: ...", ["m.f"]),
        ("def f(x: list['dict[str, Any]']) -> int: ...", ["m.f"]),
        ("from typing import Any as Whatever\ndef f(x: Whatever) -> int: ...", ["m.f"]),
        ("import typing as t\ndef f(x: t.Any) -> int: ...", ["m.f"]),
        ("Row = dict[str, Any]\nRows = list[Row]\ndef f(x: Rows) -> int: ...", ["m.f"]),
        ("Row: TypeAlias = dict[str, Any]\ndef f() -> Row | None: ...", ["m.f"]),
        ("from other import Row as R\ndef f() -> R: ...", ["m.f"]),
        ("if True:\n    def f() -> Any: ...", ["m.f"]),
        (
            "class C:\n    def __getitem__(self, x: Any) -> int: ...\n    def __eq__(self, x: object) -> bool: ...",
            ["m.C.__getitem__"],
        ),
        ("def f(x: Literal['Any']) -> int: ...", []),
        ("from mine import Any as Mine\ndef f(x: Mine) -> int: ...", []),
        ("def f(x: int) -> dict[str, Any]: ...", ["m.f"]),
        ("def f(*, x: int, **rest: Any) -> int: ...", ["m.f"]),
        ("class C:\n    a: list[Any]\n    def f(self) -> Any: ...", ["m.C.f", "m.C.a"]),
        ("def f(x: npt.NDArray[Any], y: object) -> int: ...", []),
        ("def _f(x: Any) -> int: ...\nclass _C:\n    a: Any", []),
    ],
)
def test_the_signatures_of_a_module_are_found(source: str, found: list[str]) -> None:
    given = Source(f"from typing import Any\n{source}")
    assert with_any("m", given, {"other": frozenset({"Row"})}) == found

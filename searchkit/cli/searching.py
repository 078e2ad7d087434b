"""The commands that search: run, resume, score and compress."""

from __future__ import annotations

import argparse

from searchkit.cli.argparse_compat import commands_of
from searchkit.cli.arguments import parser
from searchkit.cli.config import Saved, written
from searchkit.cli.printing import (
    OK,
    check_plot,
    print_compressed,
    print_json,
    print_result,
)
from searchkit.cli.shared_settings import read_scored, read_shared
from searchkit.cli.tables import print_table, shown_progress
from searchkit.cli.values import (
    budget_of,
    listed,
    read_budget,
    read_candidate,
    read_constraints,
    read_data,
    read_executor,
    read_recipe,
    read_shares,
    read_space,
    read_start,
    read_targets,
    recorded_call,
    recorded_recipe,
)
from searchkit.errors import SearchkitError

AS_WRITTEN = (
    "strategy", "screen", "verify", "weights", "batch", "device", "storage", "name", "seed", "epochs",
    "time_limit", "baselines",
)  # fmt: skip


def run(given: argparse.Namespace) -> int:
    from searchkit.api import run
    from searchkit.preview import plan
    from searchkit.results.studies import load

    check_plot(given)
    evaluation, proxies = read_shared(given.evaluation, given.proxies, given.shared)
    arguments = {name: getattr(given, name) for name in AS_WRITTEN} | dict(
        space=read_space(given),
        **read_data(given),
        objectives=listed(given.objectives),
        proxies=proxies,
        start=[read_start(text, given.storage) for text in given.start],
        earlier=[load(name, given.storage) for name in given.earlier],
        constraints=read_constraints(given.constraint),
        budget=read_budget(given),
        targets=read_targets(given.target, given.target_option),
        **read_executor(given),
        recipe=read_recipe(given.recipe),
        evaluation=evaluation,
    )
    saved = (
        [] if given.save_config is None else [Saved(given.save_config, written(given, commands_of(parser())["run"]))]
    )
    if given.dry_run:
        planned = plan(**arguments)
        print(*planned.about, *planned.lines, sep="\n")
        for one in saved:
            print(f"options written to {one.write()}")
        return OK
    result = run(**arguments, callbacks=saved, progress=shown_progress())
    return print_result(result, given)


def compress(given: argparse.Namespace) -> int:
    from searchkit.compressing import compress
    from searchkit.compressing.by_name import model_of

    result = compress(
        model_of(given.model),
        given.data,
        constraints=read_shares(given.constraint),
        epochs=given.epochs,
        seconds=given.seconds,
        networks=given.networks,
        recipe=read_recipe(given.recipe),
        **read_executor(given),
        storage=given.storage,
        name=given.name,
        seed=given.seed,
        device=given.device,
        progress=shown_progress(),
    )
    files = result.export(0, given.export) if given.export is not None and len(result.delivered) else []
    if given.baselines:
        result.compare()
    return print_compressed(result, given, files)


def score(given: argparse.Namespace) -> int:
    from searchkit.proxy_layer.ranking import score

    candidates = [read_candidate(text) for text in given.candidate] or given.n
    table = score(
        read_space(given),
        candidates,
        proxies=read_scored(given.proxies, given.shared),
        **read_data(given),
        device=given.device,
        seed=given.seed,
        workers=given.workers,
        values=given.value,
    )
    trust = table.attrs.get("trust")
    if given.json:
        rows = table.to_dict("records")
        print_json(rows if trust is None else {"candidates": rows, "trust": trust.to_dict("records")})
    else:
        print_table(table)
        if trust is not None:
            print()
            print_table(trust, numbered=False, digits=3)
    return OK


def resume(given: argparse.Namespace) -> int:
    from searchkit.api import run
    from searchkit.ask_and_tell import ELSEWHERE
    from searchkit.data.loading import load_data
    from searchkit.data.reading import is_found
    from searchkit.results.studies import load, read_study
    from searchkit.storage.header_check import TO_RESUME, check_header

    check_plot(given)
    study = read_study(given.name, given.storage)
    check_header(study.name, study.place, study.header, TO_RESUME)
    context = study.header["context"]
    recorded = context.get("data", {})
    data = given.data or recorded.get("source") or recorded.get("name")
    if loaded := recorded.get("object") and recorded.get("loaded"):
        moved = {"data": given.data, "name": recorded["name"]} if given.data else {}
        data = load_data(**loaded | moved)
    call, learned_from, objects = recorded_call(study.header)
    function = "training" if "trained_by" in context else "evaluate"
    lacking = [
        what
        for what, there in (
            (f"its {'proxies' if len(objects) > 1 else 'proxy'} {' and '.join(objects)}", not objects),
            (f"its {function} function", context["kind"] == "networks" and function != "training"),
            ("its strategy", context["strategy"] is not None),
            ("its weights", "weights" not in context or "weights_file" in context),
            ("its shared weights", not context.get("shared")),
            ("its targets", None not in (call.get("targets") or {}).values()),
            ("its space", hasattr(study.space, "build")),
            ("its data", loaded or (data is not None and is_found(data))),
        )
        if not there
    ]
    if context.get("function") == ELSEWHERE:
        raise SearchkitError(
            f"the candidates of study '{given.name}' are evaluated elsewhere: searchkit suggest {given.name} gives more"
        )
    if lacking:
        raise SearchkitError(
            f"study '{given.name}' was begun in Python with {' and '.join(lacking)} given as objects; "
            "call searchkit.run there again, as before, and it continues"
        )
    space, recipe = recorded_recipe(study.space, call.pop("recipe", None))
    result = run(
        context["strategy"],
        space=space,
        recipe=recipe,
        data=data,
        objectives=dict(study.header["search"]["objectives"]),
        constraints={name: tuple(ends) for name, ends in context["bounds"].items()},
        budget=budget_of(context["budget"], read_budget(given)),
        **read_executor(given),
        storage=given.storage,
        name=given.name,
        seed=study.header["search"].get("seed"),
        earlier=[load(earlier, given.storage) for earlier in learned_from],
        baselines=given.baselines,
        progress=shown_progress(),
        **call,
    )
    return print_result(result, given)

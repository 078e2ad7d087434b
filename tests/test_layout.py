"""The layout is what the architecture says: rooms on levels, imports that point down, and one name for each folder."""

from __future__ import annotations

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest
from helpers.repository import ROOT
from helpers.sources import PACKAGES, Source, modules, sources

from searchkit.moved import MOVED

BACKENDS = {"pymoo", "botorch", "gpytorch"}

# A room imports those above its line only: the rooms of one line know nothing of each other.
LEVELS = """
    version errors lazy moved types random_state
    surroundings
    runtime space
    problem
    plugins
    data spaces costs
    storage blocks
    surrogates
    training
    sharing execution
    scoring compression
    results
    search serving
    proxy_layer
    option_values
    options
    option_reading assembly
    judged planned
    api
    compressing preview ask_and_tell
    cli
    __main__
""".strip().splitlines()

# Rooms beside the levels, and what each may import; nothing but users and plugins' entry points imports them.
BESIDE = {
    "strategies": "errors types runtime space problem plugins storage blocks surrogates",
    "proxies": "errors types random_state surroundings runtime space problem data spaces costs blocks surrogates "
    "training sharing execution scoring",
    "benchmarks": "errors types surroundings space problem spaces costs blocks",
    "testing": "errors types space problem",
    "integrations": " ".join(LEVELS).partition(" cli")[0],
}

LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms.split()}


MODULES = modules()

# What a module loads from a room above it, by name and when it is asked for, each with its reason.
FROM_ABOVE = {
    ("searchkit.space.network_space", "searchkit.compression.assembled"): "NetworkSpace.from_model makes one of its",
    ("searchkit.cli.mcp", "searchkit.integrations.mcp.settings"): "the options of the command that serves",
    ("searchkit.cli.mcp", "searchkit.integrations.mcp.server"): "the command that serves",
}


def room_of(module: str) -> str:
    """The room of a module: its first part below searchkit; of searchkit itself "searchkit"."""
    return ".".join(module.split(".")[1:2]) or "searchkit"


def imports(source: Source) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of every import, also those inside functions; the name is empty of ``import module``."""
    for node in source.nodes(ast.Import):
        yield from ((alias.name, "") for alias in node.names)
    for node in source.nodes(ast.ImportFrom):
        yield from imported_from(node)


def imported_from(node: ast.ImportFrom) -> Iterator[tuple[str, str]]:
    assert node.level == 0, "a relative import"
    return ((str(node.module), alias.name) for alias in node.names)


def at_import(source: Source) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of what is imported when the module is: not in a function, and not for type checkers."""
    later: set[ast.AST] = set()
    for owner in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        later |= {inner for statement in owner.body for inner in ast.walk(statement)}
    for condition in source.nodes(ast.If):
        if ast.unparse(condition.test) == "TYPE_CHECKING":
            later |= {inner for statement in condition.body for inner in ast.walk(statement)}
    for node in source.nodes(ast.Import):
        yield from ((alias.name, "") for alias in node.names if node not in later)
    for node in source.nodes(ast.ImportFrom):
        yield from imported_from(node) if node not in later else ()


def named_imports(module: str, source: Source) -> Iterator[tuple[str, str]]:
    """``(module, name)`` of what is imported by its name in a text: ``import_module``, and the tables of ``lazily``."""
    for node in source.nodes(ast.Call):
        if not node.args:
            continue
        called = ast.unparse(node.func)
        first = node.args[0]
        if called.rpartition(".")[2] in ("import_module", "__import__"):
            if isinstance(first, ast.JoinedStr) and isinstance(first.values[0], ast.Constant):
                yield str(first.values[0].value).rpartition(".")[0], ""  # the rest is known when it runs
            elif isinstance(first, ast.Constant):
                yield str(first.value), ""
        elif called == "lazily" and isinstance(node.args[1], ast.Dict):
            package = first.value if isinstance(first, ast.Constant) else module
            table = node.args[1]
            for name, where in zip(table.keys, table.values, strict=True):
                assert isinstance(name, ast.Constant)
                assert isinstance(where, ast.Constant)
                yield f"{package}.{where.value}", str(name.value)


def under(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


def faults(module: str, source: Source) -> list[str]:
    """What is wrong with a module's imports, in words."""
    room, found = room_of(module), []
    for name, what in [*imports(source), *named_imports(module, source)]:
        full = f"{name}.{what}" if f"{name}.{what}" in MODULES else name
        if under(name, "strategies", "proxies"):
            found.append(f"{module} imports {name}: it is searchkit.{name}")
        if room not in ("strategies", "integrations") and under(name, *BACKENDS):
            found.append(f"{module} imports the backend {name}")
        if room == "proxies" and under(name, "optuna"):
            found.append(f"{module} imports {name}")
        if not under(full, "searchkit") or room == "searchkit":
            continue
        if full not in MODULES and full not in PACKAGES:
            found.append(f"{module} names {full}, which is not there")
            continue
        other = room_of(full)
        if (module, full) in FROM_ABOVE:
            continue
        if other != room and what.startswith("_") and not what.startswith("__"):
            found.append(f"{module} imports the private {full}.{what} of another room")
        if other == room:
            continue
        allowed = BESIDE[room].split() if room in BESIDE else [r for r in LEVEL if LEVEL[r] < LEVEL[room]]
        if other not in allowed:
            found.append(f"{module}, of room {room}, imports {full}, of room {other}, which is not below it")
    return found + private_reads(module, source) + private_attributes(module, source)


def private_reads(module: str, source: Source) -> list[str]:
    """Private names that a module reads from an imported module of another room, as ``other._name``, in words."""
    local: dict[str, str] = {}  # name in this module -> the module that it stands for
    for imported in source.nodes(ast.Import, ast.ImportFrom):
        start = f"{imported.module}." if isinstance(imported, ast.ImportFrom) else ""
        local |= {alias.asname or alias.name: f"{start}{alias.name}" for alias in imported.names}
    found = []
    for node in source.nodes(ast.Attribute):
        if is_private(node.attr):
            whose = local.get(ast.unparse(node.value), "")
            if whose in MODULES and room_of(whose) != room_of(module):
                found.append(f"{module} reads the private {whose}.{node.attr} of another room")
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def private_names_of_classes(source: Source) -> Iterator[str]:
    """Private names that the classes of a module define: methods, names of the class, and what is set on ``self``."""
    for owner in source.nodes(ast.ClassDef):
        assigned = targets(owner.body)
        for node in ast.walk(owner):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and own(node):
                yield node.attr
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node in assigned:
                yield node.id


def targets(body: list[ast.stmt]) -> list[ast.AST]:
    """What the statements of a class assign to."""
    assigned = [node for node in body if isinstance(node, ast.Assign | ast.AnnAssign)]
    every = [one for node in assigned for one in (node.targets if isinstance(node, ast.Assign) else [node.target])]
    return [inner for one in every for inner in ast.walk(one)]


def own(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


@functools.cache  # and not when this file is imported, which every process of the tests does
def owners() -> dict[str, set[str]]:
    """Private name of a class -> the rooms whose classes define it."""
    found: dict[str, set[str]] = {}
    for module, source in sources().items():
        for name in filter(is_private, private_names_of_classes(source)):
            found.setdefault(name, set()).add(room_of(module))
    return found


OF_TORCH = {"_parameters", "_buffers", "_modules"}  # a torch module has these too; tests/test_compat.py's matter


def private_attributes(module: str, source: Source) -> list[str]:
    """Private attributes of objects that only classes of another room define, in words."""
    room, found = room_of(module), []
    for node in source.nodes(ast.Attribute):
        if is_private(node.attr) and not own(node):
            rooms = owners().get(node.attr, set())
            if rooms and room not in rooms and node.attr not in OF_TORCH:
                found.append(
                    f"{module} touches the private {ast.unparse(node)}, of a class of room {', '.join(sorted(rooms))}"
                )
    return found


def test_imports_point_down() -> None:
    assert not [fault for module, source in sources().items() for fault in faults(module, source)]


@pytest.mark.parametrize(
    ("module", "planted", "said"),
    [
        ("searchkit.costs.counts", "from searchkit.training.train import train", "which is not below it"),
        ("searchkit.space.space", "def f():\n    import searchkit.api", "which is not below it"),
        ("searchkit.data.images", "from searchkit.costs.counts import space_counts", "which is not below it"),
        ("searchkit.strategies.bo", "from searchkit.proxies.params import Params", "which is not below it"),
        ("searchkit.search.loop", "from searchkit.strategies.bo import BO", "which is not below it"),
        ("searchkit.results.result", "from searchkit.integrations.ray import RayExecutor", "which is not below it"),
        ("searchkit.search.loop", "import botorch.models", "the backend botorch"),
        ("searchkit.search.loop", "from searchkit.space.space import _readable", "imports the private"),
        ("searchkit.search.loop", "from searchkit.space import labels\nlabels._has_set", "reads the private"),
        (
            "searchkit.search.loop",
            "import searchkit.space.labels\nsearchkit.space.labels._has_set",
            "reads the private",
        ),
        ("searchkit.search.loop", "import searchkit.space.labels as names\nnames._has_set", "reads the private"),
        ("searchkit.search.loop", "from proxies.params import Params", "it is searchkit.proxies"),
        ("searchkit.search.loop", "def f(space):\n    return space._by_function", "touches the private"),
        ("searchkit.search.loop", "def f(space):\n    space._reference = None", "touches the private"),
        ("searchkit.search.loop", "def f(records):\n    records.first()._claim = 1", "touches the private"),
        ("searchkit.costs.counts", "importlib.import_module('searchkit.training.train')", "which is not below it"),
        ("searchkit.costs.counts", "import_module(f'searchkit.training.{name}')", "which is not below it"),
        ("searchkit.costs.counts", "__import__('searchkit.training')", "which is not below it"),
        ("searchkit.costs.counts", "lazily('searchkit.training', {'train': 'train'})", "which is not below it"),
        ("searchkit.costs", "lazily(__name__, {'Metric': 'metric'})", "searchkit.costs.metric, which is not there"),
    ],
)
def test_an_import_against_the_order_is_seen(module: str, planted: str, said: str) -> None:
    (found,) = faults(module, Source(planted))
    assert said in found


def test_every_room_is_on_a_level_and_says_what_it_is_for() -> None:
    rooms = {room_of(module) for module in MODULES} - {"searchkit"}
    assert rooms == {*LEVEL, *BESIDE}
    for room in rooms:
        if f"searchkit.{room}" in MODULES:
            assert ast.get_docstring(sources()[f"searchkit.{room}"].tree)


def test_modules_import_each_other_in_no_circle() -> None:
    """Names for type checkers aside, which are not imported when a module is."""
    below: dict[str, set[str]] = {}
    for module, source in sources().items():
        named = {f"{name}.{what}" if f"{name}.{what}" in MODULES else name for name, what in at_import(source)}
        below[module] = {name for name in named if name in MODULES and name != module}
    while below:
        free = [module for module, others in below.items() if not others & set(below)]
        assert free, f"in a circle, or above one: {sorted(below)}"
        for module in free:
            del below[module]


def too_long(module: str, source: Source) -> Iterator[str]:
    """What of a module has too many lines, in words."""
    if (n_lines := len(source.text.splitlines())) > 300:
        yield f"{module} has {n_lines} lines"
    for node in source.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        docstring = node.body[0] if ast.get_docstring(node) is not None else None
        documented = 0 if docstring is None else int(docstring.end_lineno or 0) - docstring.lineno + 1
        signature = node.body[0].lineno - node.lineno
        n_lines = int(node.end_lineno or 0) - node.lineno + 1 - documented - signature
        if n_lines > 60:
            yield f"{node.name} of {module} has {n_lines} lines"


def test_modules_and_functions_are_short() -> None:
    assert not [one for module, source in sources().items() for one in too_long(module, source)]


def test_what_is_too_long_is_seen() -> None:
    assert list(too_long("m", Source("x = 1\n" * 301))) == ["m has 301 lines"]
    assert not list(too_long("m", Source("def f():\n" + "    x = 1\n" * 60)))
    assert list(too_long("m", Source("def f():\n" + "    x = 1\n" * 61))) == ["f of m has 61 lines"]


@pytest.mark.parametrize("old", MOVED)
def test_a_path_that_was_documented_tells_the_new_one(old: str) -> None:
    assert f"searchkit.{MOVED[old]}" in MODULES
    with pytest.raises(ModuleNotFoundError, match=f"'searchkit.{old}' is now 'searchkit.{MOVED[old]}'"):
        __import__(f"searchkit.{old}")
    with pytest.raises(ImportError, match=f"'searchkit.{old}' is now 'searchkit.{MOVED[old]}'"):
        exec(f"from searchkit import {old}", {})


def test_no_room_or_module_at_the_top_is_called_as_a_public_function() -> None:
    assert not {"run", "score", "load"} & {module.split(".")[1] for module in MODULES if "." in module}


@pytest.mark.parametrize("folder", ["strategies", "proxies"])
def test_the_top_level_folders_refuse_another_name(folder: str) -> None:
    ended = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode != 0
    assert f"imported as searchkit.{folder}, not as {folder}" in ended.stderr


def test_importing_searchkit_loads_no_heavy_library() -> None:
    heavy = {"torch", "pandas", "sklearn", "optuna", "pymoo", "botorch", "matplotlib", "plotly", "scipy"}
    heavy |= {"importlib.metadata", "email", "asyncio", "multiprocessing"}
    code = (
        "import sys, numpy, numpy.typing; before = set(sys.modules)\n"
        f"import searchkit; print(sorted({heavy!r} & (set(sys.modules) - before)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_the_help_of_the_command_line_loads_no_heavy_library() -> None:
    heavy = {
        "torch",
        "pandas",
        "sklearn",
        "optuna",
        "botorch",
        "matplotlib",
        "scipy",
        "rich",
        "argcomplete",
        "http.server",
    }
    code = (
        "import contextlib, io, sys; from searchkit.cli.commands import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): main(['run', '--help'])\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_importing_searchkit_loads_few_of_its_own_modules() -> None:
    """What else it offers is loaded when it is asked for: an import more is a slower start for everyone."""
    code = "import sys, searchkit; print(*(name for name in sys.modules if name.partition('.')[0] == 'searchkit'))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ended.stdout.split()
    assert "searchkit.space.space" in loaded
    assert len(loaded) <= 25, sorted(loaded)


def test_no_module_stands_in_the_place_of_a_public_name() -> None:
    import searchkit

    modules = {path.stem for path in (ROOT / "searchkit").iterdir()}
    assert not modules & set(searchkit.__all__)


def test_every_public_name_is_there() -> None:
    import searchkit

    for name in searchkit.__all__:
        assert getattr(searchkit, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'serch'"):
        _ = searchkit.serch


def test_the_architecture_names_every_room_and_files_that_are_there() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    picture = (ROOT / "docs" / "images" / "rooms.svg").read_text()
    for room in {*LEVEL, *BESIDE} - {"version", "lazy", "moved", "__main__"}:
        assert f">{room}</text>" in picture, f"rooms.svg lacks {room}"
    for room in {*LEVEL, *BESIDE} - {"__main__"}:
        assert f"`{room}`" in page or f"`{room}/`" in page, f"docs/architecture.md lacks {room}"
    known = {str(path.relative_to(ROOT)).removeprefix("searchkit/") for path in MODULES.values()}
    known |= {str(path.relative_to(ROOT)) for path in (ROOT / "benchmarks").rglob("*.py")}
    named = {path for path in re.findall(r"\b(\w+(?:/\w+)+\.py)\b", page) if not path.startswith("tests/")}
    assert named
    assert not named - known


def test_the_table_of_the_architecture_says_what_each_room_touches() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (`[^|]*) \| [^|]* \| ([^|]*) \|$", page, re.MULTILINE)
    table = [(re.findall(r"`(\w+)/?`", rooms), said) for rooms, said in rows if not rooms.startswith("`docs")]
    beside, before = set(table[0][0]), list[str]()
    assert {room for rooms, _ in table for room in rooms} == {*LEVEL} - {"__main__"}
    for rooms, said in table:
        allowed = {*before} if said == "all before it" else {*beside, *said.split(", ")}
        assert said in ("all before it", "each other", "nothing more") or {*said.split(", ")} <= {*before}, said
        for module, source in sources().items():
            if room_of(module) in rooms:
                named = {name for name, _ in imports(source) if (module, name) not in FROM_ABOVE}
                of_ours = {room_of(name if under(name, "searchkit") else "") for name in named}
                touched = of_ours - {"searchkit", *rooms}
                assert touched <= allowed, f"{module} touches {', '.join(sorted(touched - allowed))}"
        before += rooms


@pytest.mark.slow
def test_a_search_of_a_function_loads_no_torch() -> None:
    code = (
        "import sys, searchkit; from searchkit import Choice, Space\n"
        "searchkit.run('nsga2', space=Space([Choice('i', range(6))]), evaluate=lambda choices: {'loss': 0.0},\n"
        "              objectives={'loss': 'min'}, budget=6, storage='memory', progress=False)\n"
        "print('torch' in sys.modules)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "False"


def test_the_wheel_has_every_folder_of_the_package() -> None:
    """A package that is left out is there where the code is installed in place, and nowhere else."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "searchkit").rglob("__init__.py")}
    assert set(listed) == {name for name in found if "strategies" not in name and "proxies" not in name} | {
        "searchkit.proxies", "searchkit.strategies",
    }  # fmt: skip
    assert len(listed) == len(set(listed))

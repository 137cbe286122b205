"""The architecture: who may import whom, no circles, names that have a module, words that load no
Paddle.

Imports are read from the source, those inside functions included: an import that is made late is
still an arrow.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from compress import registry
from export.flat import flatten
from teachers.networks import NETWORKS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("teachers", "export", "compress", "benchmarks")
DOORS = {
    "compress.cli",
    "compress.cli.__main__",
    "compress.cli.accuracy",
    "compress.entry",
    "compress.cli.compare",
    "compress.cli.demo",
    "compress.cli.rivals",
    "compress.cli.stream_eval",
    "compress.cli.shrink",
    "compress.cli.robustness",
    "compress.cli.scores",
    "compress.cli.search",
    "compress.cli.zoo",
    "compress.run",
    "compress.predict",
    "compress.show",
    "compress.data.prepare",
    "compress.budget.__main__",
    "benchmarks.accuracy",
    "export.static",
    "export.to_onnx",
    "teachers.convert",
}

# (room, rooms that it must never import). A room is a module or a folder with all that is in it;
# the longest match of `EXCEPT`
# is taken out of a room.
WALLS = [
    ("teachers", ["export", "compress", "benchmarks"]),
    ("export", ["compress", "benchmarks"]),
    ("compress", ["benchmarks"]),
    ("export.flat", ["export.*"]),
    ("export.preprocess", ["export.*"]),
    ("export.quantize", ["export.*"]),
    ("export.formats", ["export.package", "export.scripts", "export.static", "export.to_onnx"]),
    ("export.package", ["export.scripts", "export.static", "export.to_onnx"]),
    ("compress.schema", ["compress.*", "export"]),
    ("compress.process", ["compress.*", "export"]),
    ("compress.budget", ["compress.*", "export"]),
    ("compress.registry", ["compress.*", "export"]),
    ("compress.data", ["compress.*"]),
    ("compress.inputs", ["compress.training", "compress.steps", "compress.recipe"]),
    ("compress.evaluation", ["compress.training", "compress.steps"]),
    ("compress.training", ["compress.steps", "compress.recipe", "compress.reporting"]),
    (
        "compress.steps",
        ["compress.pipeline", "compress.teacher", "compress.recipe", "compress.reporting"],
    ),
    # A run knows nothing of searches, which are made of runs' parts.
    ("compress.pipeline", ["compress.search"]),
    ("compress.reporting", ["compress.training", "compress.steps", "compress.pipeline"]),
]
# What a room may use although a wall with a star stands around it: (room, what).
GATES = {
    ("export.quantize", "export.flat"),
    ("compress.data", "compress.schema"),
    ("compress.data", "compress.process"),
    ("compress.data.prepare", "compress.recipe"),
}
# Rooms of words: what they load, directly or through others, must not include these.
WORDS = (
    "compress.recipe",
    "compress.schema",
    "compress.registry",
    "compress.training.settings",
    "compress.budget.sizes",
    "compress.reporting.printed",
)
HEAVY = ("paddle", "onnx", "onnxruntime", "paddle2onnx", "visualdl", "matplotlib")


def modules() -> dict[str, Path]:
    """Dotted name -> file, of every module of the project."""
    found = {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def imports(source: str, known: Iterable[str], outer: bool = False) -> set[str]:
    """Modules that a source imports: of the project as dotted modules, others by their first name.

    Args:
        outer: only what importing the module loads: nothing inside functions or under `if
            TYPE_CHECKING`.
    """
    known, found = set(known), set()
    tree = ast.parse(source)
    inside = (
        {id(node) for block in ast.walk(tree) if _is_late(block) for node in ast.walk(block)}
        if outer
        else set()
    )
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            names = [name.name for name in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [
                (
                    f"{node.module}.{name.name}"
                    if f"{node.module}.{name.name}" in known
                    else node.module
                )
                for name in node.names
            ]
        else:
            continue
        found |= {name if name in known else name.split(".")[0] for name in names}
    return found


def _is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.unparse(node.test)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))


def graph(outer: bool = False) -> dict[str, set[str]]:
    """Module -> what it imports; the caller's own."""
    return {name: set(targets) for name, targets in _parsed(outer).items()}


@functools.cache
def _parsed(outer: bool) -> dict[str, set[str]]:
    files = modules()
    return {
        name: imports(path.read_text(encoding="utf-8"), files, outer)
        for name, path in files.items()
    }


def within(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def rooms(arrows: Mapping[str, set[str]], package: str) -> tuple[set[str], set[tuple[str, str]]]:
    """(modules and folders right inside a package, which of them imports which other)."""

    def room(name: str) -> str | None:
        # A package's own __init__ is no room.
        inside = within(name, package) and name != package
        return name.split(".")[1] if inside else None

    names: set[str] = set()
    between: set[tuple[str, str]] = set()
    for source, targets in arrows.items():
        start = room(source)
        if start is None:
            continue
        names.add(start)
        for end in map(room, targets):
            if end is not None and end != start:
                between.add((start, end))
    return names, between


def broken(arrows: Mapping[str, set[str]]) -> list[str]:
    """Imports that go through a wall, in words."""
    found = []
    for room, forbidden in WALLS:
        for source in (name for name in arrows if within(name, room)):
            for target in arrows[source]:
                for wall in forbidden:
                    starred = wall.endswith(".*")
                    inside = within(
                        target, wall.removesuffix(".*")
                    ) and target != wall.removesuffix(".*")
                    hit = inside and not within(target, room) if starred else within(target, wall)
                    gate = any(
                        within(source, own) and within(target, other) for own, other in GATES
                    )
                    if hit and not (starred and gate):
                        found.append(f"{source} imports {target}")
    return sorted(set(found))


def circles(arrows: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other, by Tarjan's algorithm; packages' own __init__ files
    included."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in arrows.get(name, ()):
            if target not in arrows:
                continue
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = []
            while True:
                one = stack.pop()
                group.append(one)
                if one == name:
                    break
            if len(group) > 1 or name in arrows.get(name, ()):
                found.append(sorted(group))

    for name in arrows:
        if name not in index:
            visit(name)
    return found


def loaded(name: str, arrows: Mapping[str, set[str]]) -> set[str]:
    """All that importing a module loads, by its imports outside functions; parents of packages
    included."""
    seen: set[str] = set()
    open_ = [name]
    while open_:
        one = open_.pop()
        parents = [".".join(one.split(".")[:length]) for length in range(1, one.count(".") + 1)]
        for target in (*arrows.get(one, ()), *parents):
            if target not in seen:
                seen.add(target)
                open_.append(target)
    return seen


def test_no_import_goes_through_a_wall():
    assert broken(graph()) == []


def test_no_modules_import_each_other():
    assert circles(graph()) == []


@pytest.mark.parametrize(
    "package, most, between",
    # A house is read room by room. Raise a limit only with the reason why a room must be new.
    # One more: the teacher cache asks `process.ranks` which of several processes looks and writes.
    # `compress.live` and `export.serve` came with live poses: three arrows each, none of them back up.
    # compress: `seeds` runs the whole pipeline several times, so it stands between `run` and it; and
    # the settings of `robustness:` belong to the evaluation that carries them out.
    # `export.shrink` is the order of work for other people's models, of formats, runtimes, verify.
    # `compress.search` is an order of work beside the pipeline, of the same parts: 14 arrows, none back up.
    # `compress.rehearsal` exports what has yet to be trained, for the pipeline, the plan and searches.
    # `compress.entry` is what pip's script calls: one arrow, to the command, that must be late, for
    # the command needs rich.
    # `compress.demo` is a page as `compress.reporting` writes one, but of a network and its interpreter.
    # `teachers.ensemble` is a network, and every network has a room.
    [("compress", 27, 112), ("export", 15, 36), ("teachers", 17, 51)],
)
def test_rooms_and_arrows_between_them_are_few(package, most, between):
    names, arrows = rooms(graph(), package)
    assert len(names) <= most, sorted(names)
    assert len(arrows) <= between, sorted(arrows)


@pytest.mark.parametrize(
    "source, target",
    [
        ("teachers.skeleton", "compress.data.dataset"),
        ("export.deployed", "compress.data.clips"),
        ("export.flat.layers", "export.quantize.bits"),
        ("export.preprocess.ops", "export.flat.layers"),
        ("export.quantize.bits", "export.formats.onnx_model"),
        ("export.formats.onnx_model", "export.package"),
        ("export.package", "export.scripts"),
        ("compress.schema.strict", "compress.recipe.types"),
        ("compress.budget.measure", "compress.process.console"),
        ("compress.data.dataset", "compress.inputs.view"),
        ("compress.inputs.view", "compress.training.fit"),
        ("compress.evaluation.evaluate", "compress.training.model"),
        ("compress.training.fit", "compress.reporting.report"),
        ("compress.steps.ptq", "compress.pipeline"),
        ("compress.reporting.report", "compress.steps.work"),
        ("compress.pipeline", "benchmarks.tables"),
    ],
)
def test_a_forbidden_import_would_be_found(source, target):
    arrows = graph()
    assert source in arrows and target in arrows
    assert broken({**arrows, source: arrows[source] | {target}}) == [f"{source} imports {target}"]


def test_a_circle_would_be_found():
    arrows = graph()
    assert circles({**arrows, "teachers.errors": {"teachers.storage"}}) == [
        ["teachers.errors", "teachers.storage"]
    ]


def test_doors_are_imported_by_nobody():
    assert {
        target
        for source, targets in graph().items()
        for target in targets & DOORS
        if source not in DOORS
    } == set()


@pytest.mark.parametrize("room", WORDS)
def test_words_load_nothing_heavy(room):
    arrows = graph(outer=True)
    for name in (name for name in arrows if within(name, room)):
        assert loaded(name, arrows) & set(HEAVY) == set(), name


def test_imports_inside_functions_count():
    source = "def late():\n    from teachers import storage\n    import paddle\n"
    known = {"teachers", "teachers.storage"}
    assert (
        imports(source, known) == {"teachers.storage", "paddle"}
        and imports(source, known, outer=True) == set()
    )


@pytest.mark.parametrize("arguments, exit_code", [(["--list"], 0), (["--recipe", "nosuch"], 1)])
def test_a_command_that_only_reads_words_loads_no_paddle(arguments, exit_code):
    code = (
        "import sys; from compress import run; code = run.main(sys.argv[1:]);"
        f"print(sorted(set(sys.modules) & {set(HEAVY)!r})); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout.splitlines()[-1]) == (exit_code, "[]"), done.stderr[-2000:]


def test_every_name_has_its_module():
    for table in (registry.DATA_SETS, registry.INPUTS, registry.STEPS, registry.NETWORKS):
        for name in table.names():
            assert importlib.util.find_spec(table.modules[name]) is not None, name
    rooms = {"DATA_SETS": "data", "INPUTS": "inputs", "STEPS": "steps"}
    for table, folder in rooms.items():
        assert all(
            path.startswith(f"compress.{folder}.")
            for path in getattr(registry, table).modules.values()
        )
    assert set(flatten.MODULES) <= set(NETWORKS)


def test_no_file_shadows_a_dependency():
    names = {path.stem for package in PACKAGES for path in (ROOT / package).rglob("*.py")}
    assert not names & {
        "onnx",
        "paddle",
        "numpy",
        "yaml",
        "visualdl",
        "paddleslim",
        "rich",
        "jinja2",
        "onnxruntime",
        "paddle2onnx",
    }

"""From a recipe to a verified, budgeted deployable.

Run: python compress/run.py --recipe ctrgcn_lite_dml [-o key.path=value ...]

Exit codes: 0 delivered, 1 bad input or failure, 2 over the size budget, 3 too much accuracy lost
(also where joints are lost) or top-1 below the floor, 4 an exported file disagrees with the trained
network, 130 interrupted (Ctrl-C), 143 stopped (SIGTERM). The last line of stdout is
one JSON object.
"""

from __future__ import annotations

import argparse
import glob
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

if __package__ in (None, ""):
    # As a script: the repository root, not compress/, is what imports are looked up in
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from teachers.terminal import interrupt

# isort: split
interrupt.while_loading(__name__)

import compress  # noqa: F401  (prepares the process for Paddle)

# isort: split
from compress import recipe as recipes
from compress.process import deterministic, lock, ranks
from compress.recipe import effective, overrides
from compress.recipe.types import Recipe
from compress.reporting.next_steps import first_line, next_steps
from compress.reporting.printed import last_line, print_recipes, print_summary
from compress.search.log import NAME as SEARCH
from teachers import storage
from teachers.errors import FeatherboneError, RecipeError, StorageError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import LOG_NAME, log_to, say, show

COMMAND = "python compress/run.py"
RUNS = Path("runs")
# The recipe with its overrides: what makes a folder a run, and what `--resume` compares with.


def parser(command: str = COMMAND) -> Parser:
    """The command line of `command`."""
    line = Parser.documented(command, __doc__)
    line.add_argument("--recipe", help="a name in configs/, or a path")
    overrides.add_option(line)
    line.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    line.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits in every run on this machine: one thread, fixed kernels; slower",
    )
    line.add_argument("--seed", type=int, help="replaces the recipe's seed")
    line.add_argument(
        "--output",
        type=Path,
        help="the run's folder (default: runs/RECIPE, or the next free runs/RECIPE-N)",
    )
    line.add_argument(
        "--resume",
        action="store_true",
        help="continue the run in --output, or the newest one of this recipe",
    )
    line.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    line.add_argument("--list", action="store_true", help="list the recipes and stop")
    return line


@ending.command
def main(arguments: list[str] | None = None, command: str = COMMAND) -> int:
    """The command; returns the exit code.

    Args:
        command: how it was called, for the report and for what it says to type next.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser(command).parse_args(arguments)
    # Before the recipe: some networks' settings load Paddle, which reads these when it is loaded
    fixed = deterministic.enforce() if options.deterministic else ()
    if options.list:
        print_recipes(recipes.by_data_set())
        ending.print_last_line({"recipes": [name for name, _ in recipes.list_recipes()]})
        return 0
    if options.recipe is None:
        raise RecipeError(
            "--recipe: name one, for example --recipe ctrgcn_lite_dml (--list shows them all)"
        )
    changes = list(options.overrides)
    if options.seed is not None:
        # As an override it is checked, reported and compared on `--resume` like all others
        changes.append(f"seed={options.seed}")
    recipe = recipes.load(options.recipe, changes)
    if recipe.seeds > 1 and ranks.launched():
        raise RecipeError(
            f"seeds: {recipe.seeds} runs are made one after the other, by one process each; leave the"
            " launcher out, or share each run out by itself with -o seeds=1 --seed N"
        )
    # Here: Paddle takes seconds to load, and a bad recipe should not wait
    with interrupt.loading():
        from compress import pipeline  # noqa: F401
        from compress.process import device
    # Before anything is built: networks are made on the device that is current
    chosen = device.select(options.device)
    if options.dry_run:
        return _plan(recipe)
    ranks.start(on_gpu=chosen.startswith("gpu"))
    folder = ranks.from_first(
        lambda: _resumed(recipe, options) if options.resume else _new_folder(recipe, options)
    )
    typed = shlex.join([*command.split(), *arguments])
    advice = (
        "wait until it ends, or stop it and type the same again; another --output starts another"
        " run"
    )
    with ExitStack() as held:
        # One of several processes holds and writes for all.
        if ranks.is_first():
            held.enter_context(lock.hold(folder / lock.NAME, advice))
            held.enter_context(log_to(folder / LOG_NAME))
        say(first_line(recipe, chosen, folder, options.resume))
        if ranks.count() > 1:
            say(f"{ranks.count()} processes share the batches and the validation clips")
        return _run(recipe, options, folder, typed, fixed)


def _plan(recipe: Recipe) -> int:
    from compress import plan, rehearsal
    from compress.process import console
    from compress.reporting.planned import print_plan

    with console.reading() as progress:
        dataset = plan.load_data(recipe, progress)
    planned = plan.make(recipe, dataset)
    rehearsal.check_place(planned)
    return print_plan(planned)


def _run(
    recipe: Recipe,
    options: argparse.Namespace,
    folder: Path,
    typed: str,
    fixed: tuple[str, ...],
) -> int:
    """The run in a folder that is ours alone; `fixed`: the settings of `--deterministic`."""
    from compress import pipeline, seeds
    from compress.reporting.runs import index

    def begin() -> None:
        if not options.resume:
            _begin(recipe, folder)
        _sweep(folder)

    ranks.only_first(begin)
    execute = pipeline.execute
    if recipe.seeds > 1:
        execute = seeds.execute
    resume = _resuming(typed, options, folder)
    # There after a failure, too: `pipeline.execute` writes the report whatever happens.
    places = {"output": str(folder), "report": str(folder / "report.html")}
    try:
        result = execute(pipeline.Run(recipe, folder, folder.parent / "teachers", typed, fixed))
    except KeyboardInterrupt as stopped:
        message = f"interrupted; everything finished is kept. Continue with: {resume}"
        return ending.fail(message, interrupt.exit_code(stopped), **places)
    except StorageError as error:
        message = f"{error}. Everything finished is kept; continue with: {resume}"
        return ending.fail(message, error.exit_code, **places)
    except FeatherboneError as error:
        return ending.fail(str(error), error.exit_code, **places)
    finally:
        # Of a run that failed, too: its folder has a report by now.
        if ranks.is_first():
            index.after_run(folder)
    if not ranks.is_first():
        # The first one judges; what it ends with is the launcher's exit code.
        return 0
    print_summary(result)
    if recipe.seeds == 1:
        show(next_steps(folder, typed))
    ending.print_last_line(last_line(result))
    # Only a run that came to its end is here, and such a run was judged.
    return result.exit_code or 0


def _resuming(typed: str, options: argparse.Namespace, folder: Path) -> str:
    """The command that resumes the run which `typed` started."""
    if options.resume:
        return typed
    # Named, though `--resume` alone takes the newest run: another may have started meanwhile
    return f"{typed} --resume" if options.output else f"{typed} --resume --output {folder}"


def _resumed(recipe: Recipe, options: argparse.Namespace) -> Path:
    """The folder of the run that is resumed; it must have the same recipe.

    Raises:
        RecipeError: no such run, or it had other settings.
    """
    # The star finds runs/NAME-2, and runs of recipes whose names merely begin alike, too.
    found = RUNS.glob(f"{glob.escape(recipe.name)}*/{effective.NAME}")
    runs = [path.parent for path in found if effective.name_in(path.parent) == recipe.name]
    newest = max(runs, key=lambda run: run.stat().st_mtime, default=None)
    folder = options.output or newest
    if folder is None or not (folder / effective.NAME).is_file():
        raise RecipeError(
            f"--resume: {folder or RUNS / recipe.name} holds no run to continue; leave --resume"
            " out to start one"
        )
    effective.require_same(recipe, folder, "--resume: ", "leave --resume out")
    return folder


def _new_folder(recipe: Recipe, options: argparse.Namespace) -> Path:
    """The folder of a new run.

    Raises:
        StorageError: it cannot be made.
    """
    if options.output is not None:
        return storage.make_folder(options.output)
    storage.make_folder(RUNS)
    number = 1
    folder = RUNS / recipe.name
    # Any folder is taken, a run's or not: nothing is written into what somebody else made.
    while True:
        try:
            # Made, not looked for: another run may be started in the same moment.
            folder.mkdir()
            return folder
        except FileExistsError:
            number += 1
            folder = folder.with_name(f"{recipe.name}-{number}")
        except OSError as error:
            raise storage.failure(folder, error) from error


def _begin(recipe: Recipe, folder: Path) -> None:
    """Make the folder a run's, with the effective recipe in it.

    Raises:
        RecipeError: it holds a run, or a search.
    """
    # Either writes its weights and its report over the other's.
    if (folder / SEARCH).exists():
        raise RecipeError(f"--output {folder}: holds a search; choose another folder")
    if (folder / effective.NAME).exists():
        raise RecipeError(
            f"--output {folder}: holds a run already; add --resume to continue it, or choose"
            " another folder"
        )
    effective.write(recipe, folder)


def _sweep(folder: Path) -> None:
    """Remove what a killed run left half written, before anything looks at the files there."""
    storage.sweep(folder)
    for inside in folder.iterdir():
        if inside.is_dir():
            storage.sweep(inside)


if __name__ == "__main__":
    sys.exit(main())

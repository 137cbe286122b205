"""Make a network of the zoo from a finished run, and the table of docs/zoo.md from the zoo.

Run: python benchmarks/zoo.py [RUN NAME] [--replace]

An entry, `export/zoo/NAME/`, is the run's deployed folder, byte for byte, with the effective recipe,
the report, the log and the scores. Drawings of clips and paths of one machine are left out of them.
It is refused where it is over 1.5 MB, where its scores are missing or count to other figures than
the report has, and where its recipe is not in the repository. Without RUN only the table is written
anew. The last line of stdout is JSON.
"""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import yaml

from benchmarks import shared_text
from compress.budget.sizes import format_size
from compress.evaluation import scores
from compress.recipe import CONFIGS
from compress.reporting import zoo as table
from compress.reporting.record import Report
from export import deployed
from export.deployed import zoo
from teachers import storage
from teachers.errors import DataError, RecipeError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say

ROOT = Path(__file__).resolve().parents[1]
RECIPES = (CONFIGS, ROOT / "benchmarks" / "recipes")
DOCUMENT = ROOT / "docs" / "zoo.md"
# The table stands between these lines.
MARKS = ("<!-- written by benchmarks/zoo.py -->", "<!-- end of the table -->")
NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


def make(run: Path, name: str, into: Path) -> Path:
    """Write the entry into `into`, in place of one that is called so; returns its folder.

    Raises:
        DataError: the run is none of a finished network that may be in the zoo; says why.
        RecipeError: its name is none, or its recipe is not in the repository.
        CheckpointError: its deployed folder was changed.
    """
    if not NAME.fullmatch(name):
        raise RecipeError(f"{name!r}: a name is made of a-z, 0-9 and single underscores")
    for file in (*table.KEPT, zoo.DEPLOYED):
        if not (run / file).exists():
            raise DataError(f"{run}: holds no {file}; give the folder of a finished run")
    report = table.read(run)
    if report.status != "ok":
        raise DataError(f"{run}: ended with {report.status!r}; only a run that passed is taken")
    require_recipe(report)
    # Reads the scores, and compares what they count to.
    table.rows_of(name, run)
    require_deployed(run / zoo.DEPLOYED)
    paths = list(shared_text.paths_of(report, run, name))
    with storage.staging(into) as staged:
        folder = staged / name
        shutil.copytree(run / zoo.DEPLOYED, folder / zoo.DEPLOYED)
        shutil.copyfile(run / scores.NAME, folder / scores.NAME)
        for file in table.KEPT:
            if file != scores.NAME:
                storage.write_text(folder / file, shared_text.read(run / file, paths))
        shutil.rmtree(into / name, ignore_errors=True)
        return storage.deliver(folder, into)


def require_recipe(report: Report) -> None:
    """
    Raises:
        RecipeError: the run's recipe is not in the repository, as it was run.
    """
    files = [folder / f"{report.recipe}.yaml" for folder in RECIPES]
    said = report.provenance.recipe_yaml if report.provenance else ""
    # Its values: comments may tell by now what came out.
    values = yaml.safe_load(said)
    if not any(file.is_file() and yaml.safe_load(file.read_bytes()) == values for file in files):
        raise RecipeError(
            f"{report.recipe}.yaml: the recipe as it was run is in neither of"
            f" {', '.join(str(folder.relative_to(ROOT)) for folder in RECIPES)}; add it there, or"
            " run the one that is there"
        )


def require_deployed(folder: Path) -> None:
    """
    Raises:
        DataError: it is too large, has no seal, or holds what its description does not name.
    """
    description = deployed.read(folder)
    if deployed.unsealed_note(folder, description):
        raise DataError(deployed.unsealed_note(folder, description))
    named = {deployed.NAME, *(name for group in description.files.values() for name in group)}
    others = sorted({path.name for path in folder.iterdir()} - named)
    if others:
        raise DataError(f"{folder}: {', '.join(others)} is none of its files; remove it")
    size = table.size_of(folder)
    if size > table.LARGEST_BYTES:
        raise DataError(
            f"{folder}: {format_size(size)}, the zoo takes at most"
            f" {format_size(table.LARGEST_BYTES)}; deliver one format (-o export.formats=[onnx]),"
            " or a narrower network"
        )


def markdown() -> str:
    """The table of docs/zoo.md."""
    heads = (*table.HEADS, "recipe", "files")
    lines = [" | ".join(heads), "|".join("---" for _ in heads)]
    for row in table.rows():
        folder = f"../export/zoo/{row.name}"
        changes = "".join(f" `-o {override}`" for override in row.overrides)
        recipe = f"[`{row.recipe}`]({folder}/recipe.yaml){changes}"
        files = (
            f"[weights]({folder}/deploy), [log]({folder}/run.log), [scores]({folder}/scores.npz),"
            f" [report]({folder}/report.json)"
        )
        first, *rest = table.cells(row)
        lines.append(" | ".join((f"`{first}`", *rest, recipe, files)))
    return "\n".join(f"| {line} |" if "---" not in line else f"|{line}|" for line in lines)


def with_table(text: str) -> str:
    """The document with the table as the zoo has it."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}\n\n{markdown()}\n\n{MARKS[1]}{after}"


@ending.command
def main(arguments: list[str] | None = None, command: str = "python benchmarks/zoo.py") -> int:
    """The command; returns the exit code."""
    parser = Parser.documented(command, __doc__)
    parser.add_argument("run", nargs="?", type=Path, metavar="RUN", help="a finished run's folder")
    parser.add_argument("name", nargs="?", metavar="NAME", help="what the network is called")
    parser.add_argument("--replace", action="store_true", help="take the place of one called so")
    options = parser.parse_args(arguments)
    if options.run is not None:
        if options.name is None:
            parser.error("give RUN and NAME")
        to = zoo.ZOO / options.name
        if to.exists() and not options.replace:
            raise DataError(f"{to}: is there already; --replace takes its place")
        make(options.run, options.name, zoo.ZOO)
        say(f"{to}: {format_size(table.size_of(to))} with its records")
    storage.write_text(DOCUMENT, with_table(DOCUMENT.read_text(encoding="utf-8")))
    ending.print_last_line({"rows": [asdict(row) for row in table.rows()]})
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The documents tell the truth: options, files, keys and commands exist, and none is left out.

README.md, CONTRIBUTING.md and docs/ are read as one text; README.zh-CN.md is compared with
README.md.
"""

import ast
import dataclasses
import importlib
import importlib.util
import re
from pathlib import Path

import pytest
from test_architecture import WALLS

from compress import recipe, registry, run
from compress.training.settings import Config
from teachers import networks

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CHINESE = ROOT / "README.zh-CN.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [README, CHINESE, ROOT / "CONTRIBUTING.md", *DOCS]
ENGLISH = [path for path in DOCUMENTS if path != CHINESE]
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in ENGLISH)
# Opens with the file and the row that a reader is to write, where others open with a command.
WALKTHROUGH = "add-a-network.md"
ANSWERS = [path for path in DOCS if path.name != WALKTHROUGH]
MOST_LINES = 150
MOST_WORDS = 1500
LARGEST_PICTURE = 300_000  # bytes: whoever clones the project downloads it with every clone
PACKAGES = ("benchmarks", "compress", "export", "teachers")
# Left behind by renames and by translation; the glossary of CONTRIBUTING.md has the words to use.
OLD_WORDS = (
    "ordinary export",
    "seat",
    "seats",
    "shelf",
    "watcher",
    "continues where",
    "times faster",
)


def fences(text: str, language: str = r"\w*") -> list[str]:
    """What stands between fences of a language; any by default."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def links(text: str) -> list[str]:
    """Targets of Markdown links and pictures, those to other sites left out."""
    outside_fences = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", outside_fences)
    return [target for target in targets if not target.startswith(("http://", "https://"))]


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells."""
    blocks = re.findall(r"(?:^\|.*\|$\n?)+", text, re.MULTILINE)
    return [
        [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        for block in blocks
    ]


def commands(text: str) -> list[str]:
    """Everything that starts a program, in fences and in the text."""
    return re.findall(r"(?:python|pip|featherbone|visualdl)[^\n`，；。]*", text)


def test_every_option_is_documented():
    options = {option for action in run.parser()._actions for option in action.option_strings} - {
        "-h",
        "--help",
    }
    assert options and all(f"`{option}`" in TEXT or f"[{option}" in TEXT for option in options)


def test_every_exit_code_is_documented():
    readme = README.read_text(encoding="utf-8")
    for words in (
        "0 delivered",
        "1 bad input",
        "2 over the size budget",
        "3 too much accuracy lost",
        "4 an exported file disagrees",
        "130 interrupted",
    ):
        assert words in readme


def test_every_training_key_is_documented():
    assert all(re.search(rf"\b{field.name}\b", TEXT) for field in dataclasses.fields(Config))


def test_the_recipe_shown_is_a_recipe(tmp_path):
    shown = next(block for block in fences(TEXT, "yaml") if "teacher:" in block and "seed" in block)
    (tmp_path / "shown.yaml").write_text(shown)
    assert [step.kind for step in recipe.load(tmp_path / "shown.yaml").steps] == [
        "prune_layers",
        "train",
    ]


def test_scripts_and_folders_named_in_it_exist():
    for name in set(re.findall(r"python ((?:compress|export|benchmarks|teachers)/\w+\.py)", TEXT)):
        assert (ROOT / name).is_file(), name
    for name in set(re.findall(r"python -m ((?:compress|export|benchmarks|teachers)[\w.]*)", TEXT)):
        spec = importlib.util.find_spec(name)
        assert spec is not None, name
        is_package = spec.submodule_search_locations is not None
        assert not is_package or importlib.util.find_spec(f"{name}.__main__") is not None, name
    for name in ("compress", "configs", "teachers", "export", "benchmarks", "tests", "docs"):
        assert f"{name}/" in README.read_text(encoding="utf-8") and (ROOT / name).is_dir()


def test_every_recipe_network_and_input_key_is_named():
    assert all(f"`{name}`" in TEXT for name, _ in recipe.list_recipes())
    assert all(re.search(rf"\b{name}\b", TEXT) for name in networks.names())
    for path in (ROOT / "compress" / "inputs").glob("*.py"):
        if re.search(r"^class Config", path.read_text(), re.MULTILINE):
            keys = {
                field.name for field in dataclasses.fields(registry.INPUTS.load(path.stem).Config)
            }
            assert f"`{path.stem}`" in TEXT and all(
                re.search(rf"\b{key}\b", TEXT) for key in keys
            ), path.stem


def test_every_step_and_data_set_is_named():
    for folder in ("steps", "data", "inputs"):
        for path in (ROOT / "compress" / folder).glob("*.py"):
            if re.search(r"^class Config", path.read_text(), re.MULTILINE):
                assert re.search(rf"\b{path.stem}\b", TEXT), path.stem


@pytest.mark.parametrize(
    "table", [registry.STEPS, registry.DATA_SETS], ids=lambda table: table.what
)
def test_every_key_of_a_step_and_a_data_set_is_documented(table):
    # a word in prose is no documentation: a key stands in code style
    spans = re.findall(r"`([^`\n]+)`", TEXT)
    named = {word for code in [*spans, *fences(TEXT, "yaml")] for word in re.findall(r"\w+", code)}
    for name in table.names():
        keys = {field.name for field in dataclasses.fields(table.load(name).Config)}
        assert keys <= named, (name, sorted(keys - named))


def test_ci_calls_the_test_command():
    command = next(line for line in TEXT.splitlines() if "requirements-test.txt" in line)
    assert "pip install -r requirements-test.txt && python -m pytest" in command
    ci = (ROOT / ".ci" / "run").read_text()
    assert "requirements-test.txt" in ci and "python -m pytest" in ci


@pytest.mark.parametrize("path", [README, CHINESE], ids=lambda path: path.name)
def test_the_readme_is_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MOST_LINES
    assert len(text.split()) <= MOST_WORDS


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    for link in links(path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text(encoding="utf-8")), link


@pytest.mark.parametrize("path", [*ANSWERS, ROOT / "CONTRIBUTING.md"], ids=lambda path: path.name)
def test_a_document_opens_with_a_command(path):
    heading, blank, fence, command = path.read_text(encoding="utf-8").splitlines()[:4]
    assert heading.startswith("# ") and not blank and fence == "```bash"
    assert command.startswith(("python ", "python3.11 -m venv "))


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_a_document_ends_with_the_errors(path):
    headings = re.findall(r"^## (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[-1].startswith("Errors")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_old_words_are_gone(path):
    text = re.sub(r"\s+", " ", path.read_text(encoding="utf-8")).lower()
    assert [word for word in OLD_WORDS if re.search(rf"\b{word}\b", text)] == []


def imported_name(module: str, name: str) -> object:
    """What `from module import name` gives, a module inside a package included."""
    loaded = importlib.import_module(module)
    return (
        getattr(loaded, name)
        if hasattr(loaded, name)
        else importlib.import_module(f"{module}.{name}")
    )


def test_names_of_python_examples_exist():
    examples = [
        example
        for path in ANSWERS
        for example in fences(path.read_text(encoding="utf-8"), "python")
    ]
    assert examples
    for example in examples:
        tree = ast.parse(example)
        imported: dict[str, object] = {}
        for node in tree.body:
            if isinstance(node, ast.Import):
                for name in node.names:
                    imported[name.asname or name.name] = importlib.import_module(name.name)
            elif isinstance(node, ast.ImportFrom):
                for name in node.names:
                    imported[name.asname or name.name] = imported_name(node.module, name.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                owner = imported.get(node.value.id)
                assert owner is None or hasattr(owner, node.attr), ast.unparse(node)


def test_every_document_is_reached_from_the_readme():
    linked = links(README.read_text(encoding="utf-8"))
    assert {f"docs/{path.name}" for path in DOCS} <= {link.partition("#")[0] for link in linked}


def test_both_readmes_have_the_same_commands_and_numbers():
    english, chinese = (path.read_text(encoding="utf-8") for path in (README, CHINESE))
    assert fences(english, "bash") == fences(chinese, "bash")
    assert commands(english) == commands(chinese)
    assert links(english)[1:] == links(chinese)[1:]  # the first of each leads to the other one
    assert len(tables(english)) == len(tables(chinese))
    for one, other in zip(tables(english), tables(chinese), strict=True):
        assert numbers(one) == numbers(other)


def numbers(table: list[list[str]]) -> list[list[list[str]]]:
    """The numbers of every cell of a table, in order."""
    return [[re.findall(r"\d[\d.,]*\d|\d", cell) for cell in row] for row in table]


def test_the_numbers_of_a_changed_table_would_be_found():
    one = tables("| a | b |\n|---|---|\n| `x_8` | 1,205,185 bytes, **2.04** |\n")
    assert numbers(one[0])[2] == [["8"], ["1,205,185", "2.04"]]


def test_the_tree_of_contributing_matches_the_folders():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    tree = next(block for block in fences(text, "") if block.startswith("compress/"))
    named = [line.split()[0].rstrip("/") for line in tree.splitlines()]
    rooms = {
        path.parent.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).glob("*/__init__.py")
    }
    assert sorted(named) == sorted({*PACKAGES, "configs", "docs", "tests", *rooms})
    for file in re.findall(r"\w+\.py", tree):
        assert any((ROOT / folder / file).is_file() for folder in PACKAGES), file


def test_the_table_of_walls_is_that_of_the_test():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = next(table for table in tables(text) if table[0] == ["room", "must never import"])
    shown = {}
    for room, forbidden in table[2:]:
        walls = re.split(r", except|; its", forbidden)[0]
        shown[room.strip("`")] = re.findall(r"`([^`]+)`", walls)
    assert shown == dict(WALLS)


def test_the_pictures_are_small():
    pictures = list((ROOT / "docs" / "images").iterdir())
    assert pictures
    for picture in pictures:
        assert picture.stat().st_size < LARGEST_PICTURE, picture.name

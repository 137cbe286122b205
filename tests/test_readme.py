"""The README tells the truth: its options, files, keys and commands exist, and none is left out."""

import dataclasses
import re
from pathlib import Path

from compress import recipe, registry, run
from compress.training.settings import Config
from teachers import networks

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_every_option_is_documented():
    options = {option for action in run.parser()._actions for option in action.option_strings} - {
        "-h",
        "--help",
    }
    assert options and all(f"`{option}`" in TEXT or f"[{option}" in TEXT for option in options)


def test_every_exit_code_is_documented():
    for words in (
        "0 delivered",
        "1 bad input",
        "2 over the size budget",
        "3 too much accuracy lost",
        "4 an\nexported file disagrees",
        "130 interrupted",
    ):
        assert words in TEXT


def test_every_training_key_is_documented():
    assert all(re.search(rf"\b{field.name}\b", TEXT) for field in dataclasses.fields(Config))


def test_the_recipe_shown_is_a_recipe(tmp_path):
    shown = next(
        block for block in re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL) if "teacher:" in block
    )
    (tmp_path / "shown.yaml").write_text(shown)
    assert [step.kind for step in recipe.load(tmp_path / "shown.yaml").steps] == [
        "prune_layers",
        "train",
    ]


def test_scripts_and_folders_named_in_it_exist():
    for name in set(re.findall(r"python ((?:compress|export|benchmarks|teachers)/\w+\.py)", TEXT)):
        assert (ROOT / name).is_file(), name
    for name in ("compress", "configs", "teachers", "export", "benchmarks", "tests"):
        assert f"{name}/" in TEXT and (ROOT / name).is_dir()


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


def test_ci_calls_the_test_command():
    command = next(line for line in TEXT.splitlines() if "requirements-test.txt" in line)
    assert "pip install -r requirements-test.txt && python -m pytest" in command
    ci = (ROOT / ".ci" / "run").read_text()
    assert "requirements-test.txt" in ci and "python -m pytest" in ci

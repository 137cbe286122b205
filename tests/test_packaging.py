"""The package: one version, one list of pins, one command whose verbs exist and whose help loads no
Paddle, and recipes that are there when it is installed."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import compress
from compress import cli, recipe
from compress.data.ntu import parallel
from export.formats import table
from teachers.terminal import missing

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = {"paddle", "onnx", "onnxruntime", "paddle2onnx", "visualdl", "matplotlib", "numpy"}


def pins(name: str) -> set[str]:
    """The requirements of a file, those of the files it includes too."""
    found: set[str] = set()
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r ").strip())
        elif line:
            found.add(line)
    return found


def extra(name: str) -> set[str]:
    return set(PROJECT["project"]["optional-dependencies"][name])


def test_pyproject_and_requirements_pin_the_same():
    assert extra("cpu") == pins("requirements.txt")
    assert extra("gpu") == pins("requirements-gpu.txt")
    assert extra("paddle3") == pins("requirements-paddle3.txt")
    assert extra("test") == pins("requirements-test.txt") - pins("requirements.txt")
    assert extra("slim") < pins("requirements.txt")


def test_the_base_is_what_serving_needs_and_every_set_agrees_with_it():
    base = PROJECT["project"]["dependencies"]
    assert {re.split(r"[=<>]", line)[0] for line in base} == {"numpy", "onnxruntime"}
    assert extra("serve") == set(base)
    for name in ("cpu", "gpu", "paddle3"):
        pinned = dict(line.split("==") for line in extra(name) if "==" in line)
        for requirement in map(Requirement, base):
            assert requirement.specifier.contains(pinned[requirement.name]), name


@pytest.mark.parametrize("package", ["paddle", "rich"])
def test_without_a_package_a_command_says_in_one_line_what_to_install(package):
    code = (
        f"import sys; sys.modules[{package!r}] = None; from compress import entry;"
        "sys.exit(entry.main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "run", "--recipe", "ctrgcn_lite_dml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1, done.stderr
    assert f"the package {package!r} is not installed" in done.stderr
    assert 'pip install ".[cpu]"' in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["status"] == "failed"


def test_a_missing_package_is_in_the_extra_that_the_message_names():
    for package, name in {**missing.EXTRAS, "paddle2onnx": "cpu"}.items():
        assert any(re.split(r"[=<>]", line)[0] == package for line in extra(name))
        error = ModuleNotFoundError(name=f"{package}.inner")
        assert f"featherbone[{name}]" in missing.advice(error)
    assert missing.advice(ModuleNotFoundError(name="compress.nosuch")) == ""


def test_predict_needs_two_small_packages_and_no_paddle(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["featherbone", "predict", "deploy", "clip.npy"])
    for package in missing.OF_PREDICT:
        assert "featherbone[predict]" in missing.advice(ModuleNotFoundError(name=package))
    assert "featherbone[cpu]" in missing.advice(ModuleNotFoundError(name="paddle"))
    names = {re.split(r"[=<>]", line)[0] for line in extra("predict")}
    assert names == {"rich", "pyyaml"}
    assert set(extra("predict")) < set(extra("service"))


@pytest.mark.slow
def test_the_gpu_requirements_install_and_import(tmp_path):
    """No GPU is needed: the wheel brings CUDA, and says that there is no device. About 2 GB."""
    venv.create(tmp_path / "env", with_pip=True, system_site_packages=False)
    python = tmp_path / "env" / "bin" / "python"
    install = [python, "-m", "pip", "install", "-q", "-r", ROOT / "requirements-gpu.txt"]
    subprocess.run(install, check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    code = "import teachers, paddle; print(paddle.__version__, paddle.is_compiled_with_cuda())"
    done = subprocess.run(
        [python, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.split() == ["2.6.2", "True"]


def test_the_version_stands_in_one_place_and_is_said_alike():
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"] == "compress.__version__"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == compress.__version__
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[(\S+)\]", changes, re.MULTILINE).group(1) == compress.__version__


def test_the_licence_is_the_whole_of_apache_2():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2.0, January 2004" in text and "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == {"text": "Apache-2.0"}


def test_every_package_and_every_file_in_it_is_installed():
    """Python packages are found by their __init__; other files must be named as package data."""
    data = {
        path.relative_to(ROOT).as_posix()
        for package in ("compress", "export", "teachers")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    installed = {
        path.relative_to(ROOT).as_posix()
        for package, patterns in PROJECT["tool"]["setuptools"]["package-data"].items()
        for pattern in patterns
        for path in ROOT.joinpath(*package.split(".")).glob(pattern)
        # The recipes lie in configs/ at the top, see setup.py.
        if package != "compress.configs"
    }
    # Templates, style sheets and scripts of pages, networks of the zoo, and no other data anywhere.
    others = {name for name in data if not name.startswith("export/zoo/")}
    assert {Path(name).suffix for name in others} == {".j2", ".css", ".html", ".js"}
    assert data == installed
    for package in ("compress", "export", "teachers"):
        for path in (ROOT / package).rglob("*.py"):
            assert (path.parent / "__init__.py").is_file(), path


def test_paths_into_the_repository_point_at_it():
    assert recipe.CONFIGS == ROOT / "configs"
    assert parallel.ROOT == ROOT


@pytest.mark.parametrize("verb", cli.VERBS)
def test_a_verb_hands_on_to_a_command_that_knows_how_it_was_called(verb):
    main = importlib.import_module(cli.VERBS[verb].module).main
    # The options that a verb is given by its row; see `Verb.hints`.
    more = ["hints"] if cli.VERBS[verb].hints else []
    assert list(inspect.signature(main).parameters) == ["arguments", "command", *more]


@pytest.mark.parametrize("verb", ["run", "export", "compare"])
def test_help_of_a_verb_shows_the_command_as_typed(verb, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main([verb, "--help"])
    assert ended.value.code == 0
    assert f"usage: featherbone {verb} " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], [], ["nosuch"]])
def test_words_about_the_command_load_no_paddle_and_take_no_time(arguments):
    code = (
        "import resource, sys; from compress import cli; code = cli.main(sys.argv[1:]);"
        f"print(sorted(set(sys.modules) & {HEAVY!r}));"
        "spent = resource.getrusage(resource.RUSAGE_SELF); print(spent.ru_utime + spent.ru_stime);"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *words, loaded, seconds = done.stdout.splitlines()
    assert loaded == "[]" and float(seconds) < 0.5
    known = arguments in (["--help"], ["--version"])
    assert done.returncode == (0 if known else 1)
    said = "\n".join(words) if known else done.stderr
    if arguments == ["--version"]:
        assert said == f"featherbone {compress.__version__}"
    else:
        assert all(verb in said for verb in cli.VERBS)


def test_run_through_the_command_reads_recipes_from_any_folder(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "--list"]) == 0
    assert "ctrgcn_lite_dml" in capsys.readouterr().out
    assert cli.main(["run", "--recipe", "nosuch"]) == 1


def test_export_through_the_command(tmp_path, capsys, tiny_spec):
    from teachers import networks
    from teachers.weights import checkpoints

    checkpoints.save(tmp_path / "tiny.npz", networks.build(tiny_spec), {})
    arguments = ["export", "--weights", str(tmp_path / "tiny.npz"), "--out", str(tmp_path / "out")]
    assert cli.main(arguments) == 0
    both = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(both["formats"]) == {"paddle", "onnx"}
    assert set(both["files"]) >= {*table.files("paddle"), "model.onnx"}
    assert cli.main([*arguments, "--format", "onnx"]) == 0
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(alone["files"]) == {"model.onnx", "deployed.json"}
    assert alone["max_rel_diff"] <= 1e-5


@pytest.mark.slow
def test_installed_it_runs_from_another_folder(tmp_path):
    """Needs pip and the network's index for setuptools; .ci/run does the same in its environment."""
    source = tmp_path / "source"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(".git", "runs", "build", ".venv"))
    venv.create(tmp_path / "env", with_pip=True, system_site_packages=False)
    python = tmp_path / "env" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", source], check=True)
    # The packages it needs are those that run this test.
    site = next((tmp_path / "env" / "lib").glob("python*/site-packages"))
    (site / "here.pth").write_text(str(Path(yaml.__file__).resolve().parents[1]))
    command = [tmp_path / "env" / "bin" / "featherbone", "run", "--recipe", "ctrgcn_lite_dml"]
    done = subprocess.run(
        [*command, "--dry-run"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1])["recipe"] == "ctrgcn_lite_dml"

"""The tree keeps its promises: imports point one way, and no file hides a dependency."""
import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {"teachers": {"teachers"}, "export": {"teachers", "export"}, "compress": {"teachers", "export", "compress"},
           "benchmarks": {"teachers", "export", "compress", "benchmarks"}}
ROOTS: set[str] = set()
OWN = set(ALLOWED)


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found & OWN


def test_imports_point_one_way():
    for package, allowed in ALLOWED.items():
        for path in (ROOT / package).rglob("*.py"):
            if str(path.relative_to(ROOT)) not in ROOTS:
                assert imported(path) <= allowed, f"{path.relative_to(ROOT)} imports {imported(path) - allowed}"


def test_no_file_shadows_a_dependency():
    dependencies = {"onnx", "paddle", "numpy", "yaml", "visualdl", "paddleslim", "rich", "jinja2", "onnxruntime", "paddle2onnx"}
    for package in ALLOWED:
        assert not {path.stem for path in (ROOT / package).rglob("*.py")} & dependencies


def test_paddleslim_imports_after_paddle_in_a_fresh_interpreter():
    """Paddle before zlib breaks scipy and sklearn behind paddleslim; `teachers` must prevent it."""
    code = "import teachers, paddle, paddleslim, sklearn; print('ok')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip().endswith("ok"), done.stderr[-2000:]


def test_project_imports_without_a_warning():
    code = "import compress.pipeline, export.serving, benchmarks.accuracy; print('ok')"
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:__main__", "-c", code], cwd=ROOT, capture_output=True,
                          text=True, timeout=120)
    assert done.stdout.strip().endswith("ok"), done.stderr[-2000:]
    assert "Warning" not in done.stderr

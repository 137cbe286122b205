"""What is printed: the list of recipes, and the line for machines after a run."""
from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

out = Console(highlight=False, soft_wrap=True)


def print_recipes(found: list[tuple[str, str]]) -> int:
    """The recipes with their first line of comment."""
    table = Table("recipe", "what it does", box=None)
    for name, what in found:
        table.add_row(name, what)
    out.print(table)
    print(json.dumps({"recipes": [name for name, _ in found]}))
    return 0


def last_line(report: dict) -> dict:
    """The run in one flat JSON object."""
    teacher, student = report["networks"]
    return {"status": report["status"], "exit_code": report["exit_code"], "recipe": report["recipe"], "output": report["output"],
            "teacher_top1": teacher["top1"], "student_top1": student["top1"],
            "deployed": {row["name"]: {key: row[key] for key in ("top1", "agreement", "max_rel_diff", "p50_ms", "bytes")}
                         for row in report["runtimes"] if row["deployed"]},
            "total_bytes": report["budget"]["total_bytes"], "limit_bytes": report["budget"]["limit_bytes"],
            "ordinary_bytes": report["ordinary_export"]["bytes"], "seconds": round(report["provenance"]["wall_seconds"], 1),
            "report": f"{report['output']}/report.html"}

"""The page of a search: its front as a chart and a table, one file that asks for nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compress.reporting import report

OWN = Path(__file__).with_name("page")


def html(found: Mapping[str, Any], missed: Sequence[str]) -> str:
    """The page of what `compress.search.results.to_json` says; `missed` are the limits that the best
    point does not keep, in words."""
    # Late: most of what this package does needs no templates.
    from markupsafe import Markup

    # Names of blocks come from recipes: none of them may end the script that the data stand in.
    data = json.dumps(found).replace("<", "\\u003c")
    template = report.environment(OWN).get_template("search.html.j2")
    return template.render(**found, missed=missed, data=Markup(data))

"""The page's interpreter run by Node.js, where there is one: what a browser would compute, compared
with what Python does."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.demo import page

SECONDS = 300
# Without the thread's own part, which waits for messages of a page.
ENGINE = tuple(name for name in page.ENGINE if name != "worker")
# Functions of the engine that answer a job; `shaped` and the readers are the page's own script.
SCRIPT = """
const fs = require("fs");
const bytesOf = (text) => { const b = Buffer.from(text, "base64"); return b.buffer.slice(b.byteOffset, b.byteOffset + b.length); };
const floats = (text) => new Float32Array(bytesOf(text));
const text64 = (array) => Buffer.from(Float32Array.from(array).buffer).toString("base64");
const clipIn = ({ dims: [C, T, V, M], data }) => ({ C, T, V, M, data: floats(data) });
const clipOut = ({ C, T, V, M, data }) => ({ dims: [C, T, V, M], data: text64(data) });
const jobs = {
  operators: () => Object.keys(operators).sort(),
  steps: () => Object.keys(steps).sort(),
  run: ({ graph, constants, data, count }) => text64(openNetwork(graph, bytesOf(constants))(floats(data), count)),
  each: ({ graph, constants, clips }) => {
    const run = openNetwork(graph, bytesOf(constants));
    const start = process.cpuUsage();
    const logits = clips.map((data) => text64(run(floats(data), 1)));
    return { logits, ms: process.cpuUsage(start).user / 1000 / clips.length };
  },
  answers: ({ about, graph, constants, clips, lost }) => {
    const answer = openModel({ about, graph, buffer: bytesOf(constants) });
    return clips.map((clip) => {
      const { logits, scores } = answer(clipIn(clip), lost);
      return { logits: logits && text64(logits), scores: scores && Array.from(scores) };
    });
  },
  preprocess: ({ clip, given }) => clipOut(given.reduce((x, step) => steps[step.op](x, step), clipIn(clip))),
  mend: ({ clip, bones, coordinates }) => { const made = mended(clipIn(clip), bones, coordinates); return made && clipOut(made); },
};
"""
READING = """
jobs.read = async ({ name, data, wanted }) => {
  try {
    const file = { name, size: 1, arrayBuffer: async () => bytesOf(data) };
    return (await readClips(file, wanted)).map((each) => clipOut(each.clip));
  } catch (error) { return error.message; }
};
"""
MAIN = """
(async () => {
  const found = [];
  for (const { job, ...rest } of JSON.parse(fs.readFileSync(process.argv[2]))) found.push(await jobs[job](rest));
  fs.writeFileSync(process.argv[3], JSON.stringify(found));
})();
"""


def run(folder: Path, *jobs: dict[str, Any]) -> list[Any]:
    """What Node.js answers to jobs, each {"job": name, ...}; skips where there is none."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js, which runs the page's interpreter outside a browser")
    reading = (page.HERE / "page" / "clips.js").read_text(encoding="utf-8")
    source = "\n".join([page.engine(ENGINE), reading, SCRIPT, READING, MAIN])
    program, asked, told = (folder / name for name in ("program.js", "asked.json", "told.json"))
    program.write_text(source, encoding="utf-8")
    asked.write_text(json.dumps(jobs), encoding="utf-8")
    done = subprocess.run(
        [node, str(program), str(asked), str(told)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(told.read_text(encoding="utf-8"))


def packed(array: np.ndarray) -> str:
    """Base64 of float32 numbers."""
    return base64.b64encode(np.ascontiguousarray(array, "<f4").tobytes()).decode()


def unpacked(text: str) -> np.ndarray:
    """The numbers of `packed`."""
    return np.frombuffer(base64.b64decode(text), "<f4")


def clip_job(clip: np.ndarray) -> dict[str, Any]:
    """A clip (C, T, V, M) as jobs take it."""
    return {"dims": list(clip.shape), "data": packed(clip)}


def clip_of(told: dict[str, Any]) -> np.ndarray:
    """The clip of an answer."""
    return unpacked(told["data"]).reshape(told["dims"])


def network_job(graph, **more: Any) -> dict[str, Any]:
    """A network of `compress.demo.graph` as jobs take it."""
    return {
        "graph": graph.graph,
        "constants": base64.b64encode(graph.constants).decode(),
        **more,
    }

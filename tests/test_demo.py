"""`featherbone demo`: a page of one file that holds a network, and what it lets in and out."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import demo_node
import live_folder
import numpy as np
import pytest

from compress.cli import main
from compress.cli.demo import spread
from compress.demo import networks, page
from compress.demo.page import Example
from export.preprocess import repair
from export.serving import scores_of
from teachers.errors import DataError

CODE = 200_000


class Read(HTMLParser):
    """The page as a browser takes it apart: scripts by their id, and what it would ask for."""

    def __init__(self, text: str):
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.asked: list[str] = []
        self.policy = ""
        self.ids: list[str] = []
        self._open: str | None = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        said = dict(attrs)
        self.asked += [said[key] for key in ("src", "href", "action", "data") if said.get(key)]
        self.ids += [said["id"]] if "id" in said else []
        if said.get("http-equiv") == "Content-Security-Policy":
            self.policy = said["content"]
        if tag in ("script", "style"):
            self._open = said.get("id", tag)
            self.scripts[self._open] = ""
        # A policy without 'unsafe-inline' forbids both.
        assert "style" not in said and not any(key.startswith("on") for key in said)

    def handle_data(self, data):
        if self._open is not None:
            self.scripts[self._open] += data

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self._open = None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return live_folder.make(tmp_path_factory.mktemp("demo") / "deploy", persons=2)


def clip_of(number: int, frames: int = 12, persons: int = 2) -> np.ndarray:
    """(3, T, V, M) of which the folder's network says class `number`."""
    clip = np.repeat(live_folder.pose(number).T[:, None, :, None], frames, axis=1)
    return np.repeat(clip, persons, axis=3).astype("float32")


@pytest.fixture(scope="module")
def network(folder):
    return networks.read(folder, "network", lambda note: None)


def test_a_page_is_one_file_from_which_nothing_leaves(network):
    made = page.render([network], [Example("</script><img src=x>", 1, clip_of(1))])
    read = Read(made.text)
    # The link within the page alone.
    assert read.asked == ["#demo"]
    assert read.policy.startswith("default-src 'none';") and "unsafe" not in read.policy
    for part in ("script", "style"):
        digest = hashlib.sha256(read.scripts[part].encode()).digest()
        assert f"{part}-src 'sha256-{base64.b64encode(digest).decode()}'" in read.policy
    assert len(read.ids) == len(set(read.ids))
    used = set(re.findall(r'by\("([\w-]+)"\)', read.scripts["script"]))
    assert used <= set(read.ids), "the script asks for an element that the page lacks"
    data = json.loads(read.scripts["data"])
    assert data["examples"][0]["name"] == "</script><img src=x>"
    assert data["classes"] == list(live_folder.CLASSES)


def test_every_byte_is_counted_and_the_code_is_small(network):
    made = page.render([network, network], [Example("one", 0, clip_of(0))])
    size = len(made.text.encode())
    parts = dict(made.parts)
    assert parts.pop("all") == size == sum(parts.values())
    assert parts["interpreter"] + parts["script"] < CODE
    assert f"{size:,}" in made.text


def test_its_sheet_has_no_colours_but_those_of_the_report():
    """Whose contrast `test_report_style.py` works out, in both schemes."""
    report, own = (path.read_text("utf-8") for path in page.SHEETS)
    used = set(re.findall(r"var\((--[\w-]+)\)", own))
    assert used and used <= set(re.findall(r"(--[\w-]+):", report))
    for declared in re.findall(r"[\w-]*(?:color|background|border|outline)\s*:([^;}]+)", own):
        assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", declared), declared


def test_the_page_answers_as_predict_does(network, tmp_path):
    raws = [clip_of(0), clip_of(2, frames=40), clip_of(1, persons=1), clip_of(1)]
    raws[1][:, 7] = np.nan
    raws.append(np.zeros_like(raws[0]))
    made = page.render([network], [Example("one", None, clip_of(2))])
    read = Read(made.text)
    data = json.loads(read.scripts["data"])
    job = {
        "job": "answers",
        "about": data["networks"][0]["about"],
        "graph": data["networks"][0]["graph"],
        "constants": read.scripts["constants-0"],
        "clips": [demo_node.clip_job(raw) for raw in raws],
    }
    told, without = demo_node.run(tmp_path, {**job, "lost": []}, {**job, "lost": [0, 2]})
    for raw, ours in zip(raws[:4], told, strict=False):
        logits = network.logits(repair.mended(raw, None, None), "clip")
        theirs = scores_of(logits, network.description.temperature)
        assert np.allclose(ours["scores"], theirs, atol=1e-6)
    # Nobody is no class.
    assert told[4]["scores"] is None
    # The network means over joints: three of five are left.
    assert np.allclose(
        demo_node.unpacked(without[0]["logits"]),
        3 / 5 * demo_node.unpacked(told[0]["logits"]),
        atol=2e-2,
    )
    expected = data["examples"][0]["expected"][0]
    assert expected["top"] == 2
    assert np.allclose(expected["logits"], network.logits(clip_of(2), "clip").reshape(-1))


def test_the_command_writes_the_page_and_says_its_bytes(folder, tmp_path, capsys):
    clip = tmp_path / "wave.npy"
    np.save(clip, clip_of(1))
    output = tmp_path / "demo.html"
    arguments = ["demo", str(folder), "--clip", str(clip), "--output", str(output), "--json"]
    assert main([*arguments, "--teacher", str(folder)]) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert said["status"] == "written" and said["networks"] == ["teacher", "student"]
    assert said["bytes"] == output.stat().st_size == sum(said["parts"].values())
    assert main([*arguments, "--max-size", "10KB"]) == 2
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["bytes"] > 10_000


def test_bad_clips_are_named_and_the_others_are_on_the_page(folder, tmp_path, capsys):
    huge, nobody = clip_of(1) * np.float32(8e37), np.full_like(clip_of(1), np.nan)
    for name, clip in (("good", clip_of(1)), ("huge", huge), ("nobody", nobody)):
        np.save(tmp_path / f"{name}.npy", clip)
    output = tmp_path / "demo.html"
    arguments = ["demo", str(folder), "--output", str(output), "--json", "--clip"]
    clips = [str(tmp_path / name) for name in ("huge.npy", "good.npy", "nobody.npy")]
    assert main([*arguments, *clips]) == 1
    out, err = capsys.readouterr()
    said = json.loads(out.splitlines()[-1])
    assert said["clips"] == 1 and [each["clip"] for each in said["failed"]] == ["nobody", "huge"]
    assert "2 of 3 clips are not on the page" in err and "huge: the model answers with" in err
    shown = json.loads(Read(output.read_text("utf-8")).scripts["data"])["examples"]
    assert [each["name"] for each in shown] == ["good"]
    # Nothing is written of bad ones alone.
    output.unlink()
    assert main([*arguments, str(tmp_path / "huge.npy"), str(tmp_path / "nobody.npy")]) == 1
    err = capsys.readouterr().err
    assert not output.exists() and "huge: the model answers" in err and "nobody.npy: every" in err


def test_a_number_of_clips_is_refused_beside_the_clips(folder, tmp_path, capsys):
    assert main(["demo", str(folder), "--clip", str(tmp_path / "a.npy"), "--examples", "8"]) == 1
    assert "--examples: counts clips of a recipe's data" in capsys.readouterr().err


def test_a_folder_in_no_run_needs_clips_or_a_recipe(folder, capsys):
    assert main(["demo", str(folder)]) == 1
    assert "give --clip FILE, or --recipe NAME" in capsys.readouterr().err


def test_two_networks_must_answer_the_same_clips(network, tmp_path):
    other = live_folder.make(tmp_path / "other", persons=2)
    text = (other / "deployed.json").read_text("utf-8")
    content = json.loads(text)
    content["classes"] = ["still", "wave", "run"]
    content.pop("sha256")
    (other / "deployed.json").write_text(json.dumps(content), "utf-8")
    notes: list[str] = []
    second = networks.read(other, "student", notes.append)
    assert notes and "has no 'sha256'" in notes[0]
    with pytest.raises(DataError, match="student: has other classes than the network"):
        networks.check_alike(network, second)


def test_clips_are_spread_over_classes():
    assert spread([0, 0, 1, 0, 2, 1], 4) == [0, 2, 4, 1]
    assert spread([1, 0], 9) == [1, 0]


@pytest.mark.parametrize("kind, names", [("engine", page.ENGINE), ("page", page.SCRIPT)])
def test_no_name_is_given_twice(kind, names):
    """The files become one script, in which a second function of a name replaces the first."""
    folder = page.HERE / kind
    text = "\n".join((folder / f"{name}.js").read_text("utf-8") for name in names)
    found = re.findall(r"^(?:async )?(?:function|const|let|class) (\w+)", text, re.MULTILINE)
    assert len(found) > 10 and sorted(set(found)) == sorted(found)

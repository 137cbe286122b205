"""Raw NTU RGB+D recordings become a cache: the published steps to the number, every defect counted,
nothing lost by kill -9."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks import raw_ntu
from compress.data import clips, ntu, prepare
from compress.data.loader import batches
from compress.data.ntu import (
    build,
    clean,
    clip_cache,
    naming,
    parallel,
    report,
    shards,
    skeleton_text,
)
from compress.inputs import crop_resize, view
from teachers.errors import DataError, StorageError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """(a folder of 100 recordings, ten of them with a defect of each kind, how many there are of
    each)."""
    folder = tmp_path_factory.mktemp("ntu") / "raw"
    return folder, raw_ntu.write(folder, 100)


@pytest.fixture()
def samples(shared, tmp_path):
    """The six real recordings, in a folder that can be written."""
    folder = tmp_path / "ntu60"
    shutil.copytree(shared / "data" / "ntu60_samples", folder)
    folder.chmod(0o755)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def failure(call, *arguments, kind=DataError, **keys) -> str:
    with pytest.raises(kind) as caught:
        call(*arguments, **keys)
    return str(caught.value)


def published(recording) -> np.ndarray:
    """CTR-GCN's steps again, frame by frame, body by body, for recordings without NaN; (T, 150)."""
    valid = sorted({int(frame) for body in recording.bodies.values() for frame in body.frames})
    tracks = []
    for body in recording.bodies.values():
        start = valid.index(int(body.frames[0]))
        tracks.append(
            {
                "x": body.joints,
                "from": start,
                "to": start + len(body.joints) - 1,
                "motion": np.sum(np.var(body.joints.reshape(-1, 3), axis=0)),
            }
        )
    if len(tracks) > 1:
        tracks = [one for one in tracks if len(one["x"]) > 11]
        for one in list(tracks):
            if len(tracks) == 1:
                break
            good = [frame for frame in one["x"] if np.ptp(frame[:, 0]) <= 0.8 * np.ptp(frame[:, 1])]
            noise = len(one["x"]) - len(good)
            if noise and noise / float(len(one["x"])) >= 0.69754:
                tracks = [other for other in tracks if other is not one]
            elif noise:
                one["motion"] = min(
                    one["motion"], np.sum(np.var(np.array(good).reshape(-1, 3), axis=0))
                )
        tracks.sort(key=lambda one: one["motion"], reverse=True)
    rows, first, second = np.zeros((len(valid), 150), np.float32), None, [0, 0]
    for one in tracks:
        span = slice(one["from"], one["to"] + 1)
        if first is None or min(first[1], one["to"]) - max(first[0], one["from"]) <= 0:
            rows[span, :75] = one["x"].reshape(-1, 75)
            first = (
                [one["from"], one["to"]]
                if first is None
                else [min(first[0], one["from"]), max(first[1], one["to"])]
            )
        elif min(second[1], one["to"]) - max(second[0], one["from"]) <= 0:
            rows[span, 75:] = one["x"].reshape(-1, 75)
            second = [min(second[0], one["from"]), max(second[1], one["to"])]
    rows = rows[rows.any(axis=1)]
    missing = [[not row[half].any() for row in rows] for half in (slice(0, 75), slice(75, 150))]
    origin = next(row[3:6] for row in rows if row[:75].any()).copy()
    rows -= np.tile(origin, 50)
    rows[missing[0], :75], rows[missing[1], 75:] = 0, 0
    return rows


def test_the_published_steps_to_the_number(shared):
    found = [
        skeleton_text.read(path)
        for path in sorted((shared / "data" / "ntu60_samples").glob("*.skeleton"))
    ]
    assert len(found) == 6
    for recording in found:
        clip, repairs = clean.prepare(recording, "ctrgcn")
        np.testing.assert_array_equal(
            clip.transpose(1, 3, 2, 0).reshape(-1, 150), published(recording)
        )
        assert repairs == () and clip.dtype == np.float32 and not clip[:, 0, 1, 0].any()


def bodies(generator, frames: int, count: int) -> list:
    """Random people who come and go, wide and tall, short and long, in `frames` frames."""
    found = [[] for _ in range(frames)]
    for name in range(count):
        shape = generator.normal(0, 0.5, (25, 3)) * [generator.choice([0.3, 0.75, 1.5]), 1, 0.3]
        start, length = int(generator.integers(0, frames - 1)), int(generator.integers(1, frames))
        for frame in range(start, min(frames, start + length)):
            if generator.random() > 0.1:  # lost for a moment
                found[frame].append(
                    (name, (shape + generator.normal(0, 0.1, (25, 3)) + name).astype(np.float32))
                )
    return found


def test_the_published_steps_on_people_who_come_and_go():
    two = 0
    for seed in range(60):
        generator = np.random.default_rng(seed)
        recording = skeleton_text.parse(
            raw_ntu.text(bodies(generator, 40, int(generator.integers(1, 6)))), "generated"
        )
        clip, repairs = clean.prepare(recording, "ctrgcn")
        if not repairs:
            np.testing.assert_array_equal(
                clip.transpose(1, 3, 2, 0).reshape(-1, 150), published(recording)
            )
            two += bool(clip[..., 1].any())
    assert 12 < two < 60


def test_bodies_that_filters_would_all_drop_are_kept_and_told():
    person = np.random.default_rng(0).normal(size=(25, 3)).astype(np.float32) * np.float32(
        [0.3, 1, 0.3]
    )
    frames = [[(1, person), (2, person + 1)]] * 5
    clip, repairs = clean.prepare(skeleton_text.parse(raw_ntu.text(frames), "short"), "ctrgcn")
    assert (
        clip.shape == (3, 5, 25, 2)
        and clip[..., 1].any()
        and repairs == ("no body is longer than 11 frames, so all were kept",)
    )


def test_real_recordings_by_both_preparations(samples):
    for preparation in clean.PREPARATIONS:
        dataset = ntu.load(ntu.Config(str(samples), preparation=preparation), seed=1)
        found = dict(
            zip(
                dataset.train.names + dataset.val.names,
                [*dataset.train.clips, *dataset.val.clips],
                strict=True,
            )
        )
        assert (
            len(found) == 6 and len(dataset.train) == 4 and dataset.classes[57] == "shaking hands"
        )
        assert dataset.train.labels.tolist() == [int(name[-3:]) - 1 for name in dataset.train.names]
        assert dataset.base_ops == (ntu.CENTRED if preparation == "ctrgcn" else ())
        assert "6 of 6 recordings prepared" in dataset.notes[0]
        for name, clip in found.items():
            from_file = clips.read_clip(samples / f"{name}.skeleton")[0][1]
            if preparation == "efficientgcn":
                np.testing.assert_array_equal(clip, from_file)
            else:  # the same people, moved to the origin
                assert not clip[:, 0, 1, 0].any() and clip.shape == from_file.shape
                person = (
                    1 if np.ptp(clip[..., 0] - from_file[..., 0], axis=(1, 2)).max() > 1e-5 else 0
                )
                assert np.ptp(clip[..., 0] - from_file[..., person], axis=(1, 2)).max() < 1e-5


def test_every_planted_defect_is_counted(raw):
    folder, planted = raw
    told = build.open_or_build(folder, "ctrgcn", workers=1).report
    skipping = [kind for kind in planted if kind not in ("repaired", "one frame", "found")]
    assert (
        told["skipped_because"] == {kind: planted[kind] for kind in sorted(skipping)}
        and planted["found"] == 101
    )
    assert told["clips"] == {
        "found": 101,
        "prepared": 93,
        "repaired": 1,
        "skipped": 8,
        "frames": told["clips"]["frames"],
    }
    assert sum(told["classes"].values()) == 93 and told["classes"]["eat meal"] > 0
    ((name, what),) = told["repaired"]
    assert (
        what == "2 frames with NaN replaced by the nearest good one" and (folder / name).is_file()
    )
    details = {reason: details for _, reason, details in told["skipped"]}
    assert details["wrong joint count"].startswith("line 4: 20 joints, expected 25")
    assert (
        details["unknown name"] == "action 999 in its name is none of NTU RGB+D, which has 1 to 120"
    )
    assert "lines left" in details["truncated"] or "end of the file" in details["truncated"]
    assert (
        told["published"]
        == "93 of the 56578 clips of NTU RGB+D 60 are here, so the splits cannot be checked"
    )


def test_the_number_of_workers_and_of_clips_in_a_shard_do_not_matter(raw, tmp_path):
    one = build.open_or_build(raw[0], "ctrgcn", workers=1, folder=tmp_path / "one", shard_clips=20)
    two = build.open_or_build(raw[0], "ctrgcn", workers=3, folder=tmp_path / "two", shard_clips=20)
    whole = build.open_or_build(raw[0], "ctrgcn")
    assert tree(tmp_path / "one") == tree(tmp_path / "two") and one.digests == two.digests
    assert one.names.tolist() == whole.names.tolist() and one.report == whole.report
    for index in range(len(one.names)):
        np.testing.assert_array_equal(one.clip(index), whole.clip(index))


def test_killed_preparation_goes_on_and_ends_the_same(raw, tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    build.open_or_build(raw[0], "efficientgcn", workers=1, folder=whole, shard_clips=4)
    code = (
        "import sys; from pathlib import Path; from compress.data.ntu import"
        " build;build.open_or_build(Path(sys.argv[1]), 'efficientgcn', workers=2,"
        " folder=Path(sys.argv[2]), shard_clips=4)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, raw[0], cut], cwd=ROOT)
    deadline = time.monotonic() + 60
    while len(list(cut.glob("shards/0*.npz"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "index.npz").exists()
    time.sleep(0.5)  # its workers finish their shard and find that nobody asks for more
    kept = {path: path.stat().st_mtime_ns for path in cut.glob("shards/0*.npz")}
    assert 2 <= len(kept) < 24
    (cut / "shards" / ".00020.npz.abc.npz").write_bytes(b"half")
    build.open_or_build(raw[0], "efficientgcn", workers=2, folder=cut, shard_clips=4)
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items())
    assert tree(cut) == tree(whole)


def test_workers_find_the_project_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    assert list(parallel.run("builtins:dict", [{"a": 1}], 1)) == [({"a": 1}, {"a": 1})]


def test_a_prepared_set_opens_at_once_and_stays_on_disk(raw, monkeypatch):
    cache = build.open_or_build(raw[0], "ctrgcn")
    monkeypatch.setattr(shards, "make", None)  # nothing is prepared again
    # The processor time of this process: a busy machine only makes the clock on the wall later.
    started = time.process_time()
    dataset = ntu.load(ntu.Config(str(raw[0])), seed=1)
    assert time.process_time() - started < 0.5
    base = cache.clip(3)
    while not isinstance(base, np.memmap):
        base = base.base
    assert not cache.clip(3).flags.writeable and Path(base.filename).parent.name == "shards"
    through = view.build(dataset.input, crop_resize.Config(), dataset)
    x, y = next(batches(dataset.train, through.augment, [np.arange(8)]))
    assert x.shape == (8, 3, 64, 25, 2) and y.tolist() == dataset.train.labels[:8].tolist()


def test_another_version_other_sources_and_damage_mean_preparing_again(raw, tmp_path, monkeypatch):
    folder = tmp_path / "raw"
    raw_ntu.write(folder, 12, defects=False)

    def made() -> int:
        finished = []
        monkeypatch.setattr(
            shards, "make", lambda task: finished.append(original(task)) or finished[-1]
        )
        build.open_or_build(folder, "ctrgcn", workers=1, shard_clips=4)
        return len(finished)

    original = shards.make
    assert (made(), made()) == (3, 0)
    os.utime(next(folder.glob("*.skeleton")), ns=(1, 1))
    assert (made(), made()) == (3, 0)
    monkeypatch.setattr(clip_cache, "VERSION", 99)
    assert (made(), made()) == (3, 0)
    shard = build.place(folder, "ctrgcn") / "shards" / "00001.npz"
    shard.write_bytes(shard.read_bytes()[:-100])
    assert (made(), made()) == (1, 0)


def test_names_decide_the_published_splits():
    names = np.array(
        [
            b"S001C001P001R001A001",
            b"S001C002P003R002A060",
            b"S017C003P040R001A013",
            b"S002C001P038R001A002",
        ]
    )
    numbers = naming.numbers(names)
    assert numbers.tolist()[2] == [17, 3, 40, 1, 13] and naming.edition(numbers) == 60
    assert naming.trains(numbers, "xsub").tolist() == [True, False, False, True]
    assert naming.trains(numbers, "xview").tolist() == [False, True, True, False]
    assert naming.trains(numbers, "xset").tolist() == [False, False, False, True]
    assert naming.edition(naming.numbers(np.array([b"S018C001P041R001A061"]))) == 120
    trained = [subject for subject in range(1, 107) if subject in naming.TRAIN_SUBJECTS]
    assert (
        len(trained) == 53 and len([subject for subject in trained if subject <= 40]) == 20
    )  # as both papers say


def test_split_counts_are_held_against_the_published_ones(monkeypatch):
    numbers = naming.numbers(np.array([b"S001C001P001R001A001", b"S001C002P003R002A060"]))
    counts = {"xsub": (1, 1), "xview": (1, 1)}
    monkeypatch.setitem(naming.PUBLISHED, 60, (2, counts))
    assert report.checked(numbers, 0) == "all 2 clips of NTU RGB+D 60, split as published"
    monkeypatch.setitem(naming.PUBLISHED, 60, (2, counts | {"xsub": (2, 0)}))
    assert (
        report.checked(numbers, 302)
        == "2 clips, where NTU RGB+D 60 has 2 published ones, and the splits differ"
    )
    monkeypatch.setitem(naming.PUBLISHED, 60, (1, counts | {"xsub": (1, 0)}))
    assert report.checked(numbers, 0).endswith(
        "differ; give --missing the list of missing skeletons, after which they were counted"
    )


def test_a_missing_list_given_once_is_kept(tmp_path):
    folder = tmp_path / "raw"
    raw_ntu.write(folder, 24, defects=False)
    (tmp_path / "list.txt").write_text(
        f"1 of the samples:\n{raw_ntu.name_of(0)}.skeleton\nS001C00?P001R001A01*\n"
    )
    cache = build.open_or_build(folder, "ctrgcn", tmp_path / "list.txt")
    assert (
        cache.report["skipped_because"] == {"missing-skeleton list": 1 + 3}
        and cache.report["missing_list"] == 2
    )
    assert build.open_or_build(folder, "ctrgcn").names.tolist() == cache.names.tolist()
    (tmp_path / "other.txt").write_text("nothing here")
    assert failure(build.open_or_build, folder, "ctrgcn", tmp_path / "other.txt").startswith(
        f"{tmp_path / 'other.txt'}: is no list of missing skeletons"
    )


def test_a_cache_is_made_for_the_user_and_never_among_the_recordings(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    raw_ntu.write(tmp_path / "raw", 2, defects=False)
    before = sorted(tmp_path.glob("raw/**/*"))
    cache = build.open_or_build(tmp_path / "raw", "ctrgcn")
    assert cache.folder.is_relative_to(tmp_path / "cache")
    assert sorted(tmp_path.glob("raw/**/*")) == before
    # Nothing but the cache itself: no lock, nothing unfinished.
    files = [path for path in cache.folder.rglob("*") if path.name.startswith(".")]
    assert files == []


def test_a_cache_beside_the_recordings_is_still_read_while_it_is_valid(tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "raw"
    raw_ntu.write(root, 2, defects=False)
    beside = root / build.BESIDE / "ntu-ctrgcn"
    build.open_or_build(root, "ctrgcn", folder=beside)
    before = {path: path.stat().st_mtime_ns for path in beside.rglob("*")}
    assert build.open_or_build(root, "ctrgcn").folder == beside
    assert not (tmp_path / "cache").exists()
    os.utime(next(root.glob("*.skeleton")), ns=(1, 1))
    # Of other recordings it is no longer: made anew, but not there.
    assert build.open_or_build(root, "ctrgcn").folder.is_relative_to(tmp_path / "cache")
    assert {path: path.stat().st_mtime_ns for path in beside.rglob("*")} == before


def test_a_cache_that_cannot_be_written_says_how_to_choose_its_place(tmp_path, monkeypatch):
    raw_ntu.write(tmp_path / "raw", 2, defects=False)
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path / "file"))
    message = failure(build.open_or_build, tmp_path / "raw", "ctrgcn", kind=StorageError)
    assert "choose another folder with FEATHERBONE_CACHE, or python -m" in message


def test_two_processes_make_one_cache_between_them(tmp_path):
    raw_ntu.write(tmp_path / "raw", 24, defects=False)
    code = (
        "import sys; from pathlib import Path; from compress.data.ntu import build;"
        "cache = build.open_or_build(Path(sys.argv[1]), 'ctrgcn', workers=1,"
        " folder=Path(sys.argv[2]), shard_clips=2); print(len(cache.names))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "raw"), str(tmp_path / "two")]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    assert [process.communicate(timeout=60)[0] for process in processes] == ["24\n", "24\n"]
    build.open_or_build(
        tmp_path / "raw", "ctrgcn", workers=1, folder=tmp_path / "one", shard_clips=2
    )
    whole, shared = (
        {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert shared == whole


def test_the_processes_of_a_launcher_share_the_shards_and_one_may_be_killed(raw, tmp_path):
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    build.open_or_build(raw[0], "ctrgcn", workers=1, folder=whole, shard_clips=4)
    code = (
        "import sys; from pathlib import Path; from compress.data.ntu import build;"
        "build.open_or_build(Path(sys.argv[1]), 'ctrgcn', workers=1,"
        " folder=Path(sys.argv[2]), shard_clips=4)"
    )

    def start(index: int) -> subprocess.Popen[bytes]:
        rank = {"PADDLE_TRAINER_ID": str(index), "PADDLE_TRAINERS_NUM": "3"}
        command = [sys.executable, "-c", code, str(raw[0]), str(shared)]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | rank)

    def made(index: int) -> list[Path]:
        return [path for path in shared.glob("shards/0*.npz") if int(path.stem) % 3 == index]

    # The last one alone waits for the first, who says what is made.
    processes = [start(index) for index in (2, 1, 0)]
    deadline = time.monotonic() + 60
    while not made(1) and time.monotonic() < deadline:
        time.sleep(0.002)
    processes[1].kill()
    processes[1].wait()
    assert 1 <= len(made(1)) < len(list(whole.glob("shards/0*.npz"))) // 3
    time.sleep(0.5)
    # The first goes on waiting for what is missing; a launcher ends all of them.
    assert processes[2].poll() is None and not (shared / "index.npz").exists()
    for process in (processes[0], processes[2]):
        process.terminate()
        process.wait()
    (shared / "shards" / ".00020.npz.abc.npz").write_bytes(b"half")
    again = [start(index) for index in range(3)]
    assert [process.wait(60) for process in again] == [0, 0, 0]
    assert tree(shared) == tree(whole)


def test_what_cannot_be_used_is_refused_by_name(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    assert failure(build.open_or_build, folder, "ctrgcn").startswith(
        f"{folder}: holds no .skeleton file"
    )
    person = raw_ntu.frames_of(1)[:3]
    for name in ("S018C001P041R001A061", "S018C002P041R001A062"):
        (folder / f"{name}.skeleton").write_bytes(raw_ntu.text(person))
    assert failure(ntu.load, ntu.Config(str(folder), "xview"), 1).startswith(
        f"{folder}: X-View is a benchmark of NTU RGB+D 60"
    )
    assert (
        failure(ntu.load, ntu.Config(str(folder)), 1)
        == f"{folder}: holds no clip to train on in the xsub split; copy the whole set, or set"
        " data.benchmark"
    )
    (folder / "NTU60_CS.npz").write_bytes(b"")
    assert failure(ntu.load, ntu.Config(str(folder)), 1).startswith(
        f"{folder}: holds recordings and NTU60_CS.npz"
    )
    (folder / "S018C002P041R001A062.skeleton").unlink()
    (folder / "S018C001P041R001A061.skeleton").write_bytes(b"1\n0\n")
    assert "none of 1 recordings could be prepared" in failure(
        build.open_or_build, folder, "ctrgcn"
    )
    with pytest.raises(ValueError, match="preparation: must be ctrgcn or efficientgcn"):
        ntu.Config("x", preparation="mine")


def test_options_of_write_are_refused_without_it(capsys, tmp_path):
    with pytest.raises(SystemExit):
        prepare.main([str(tmp_path), "--to", str(tmp_path / "out"), "--benchmark", "xview"])
    assert "--to, --benchmark: has no effect without --write" in capsys.readouterr().err


def test_the_command_tells_what_it_did(raw, capsys, tmp_path):
    assert prepare.main([str(raw[0]), "--cache", str(tmp_path / "c"), "--workers", "2"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert (
        told["status"] == "ready"
        and told["prepared"] == 93
        and told["skipped_because"]["truncated"] == 1
    )
    assert "missing-skeleton list" in out and "40091 / 16487" in out and "drink water" in out
    assert prepare.main([str(tmp_path / "nowhere")]) == 1
    assert json.loads(capsys.readouterr().out)["error"].startswith(
        f"{tmp_path / 'nowhere'}: cannot be listed"
    )


def test_workers_know_nothing_of_paddle_and_report_what_they_raise(tmp_path):
    code = (
        "import sys; import compress.data.ntu.shards, compress.data.ntu.parallel,"
        " compress.data.prepare; assert 'paddle' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
    (tmp_path / "file").write_text("")
    task = {
        "root": str(tmp_path),
        "files": [],
        "preparation": "ctrgcn",
        "target": str(tmp_path / "file" / "00000.npz"),
    }
    assert "cannot write it" in failure(
        list, parallel.run("compress.data.ntu.shards:make", [task], 1), kind=StorageError
    )
    assert "ended with code" in failure(
        list, parallel.run("compress.data.ntu.shards:nothing", [task], 1), kind=StorageError
    )

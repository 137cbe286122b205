"""Live poses by lines, by HTTP and by WebSocket: what is refused and how, that nothing is lost, and
that clients cannot disturb each other."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from compress import predict
from compress.cli import recipe_options
from compress.live import service
from compress.live.hub import Hub, Limits, clock_of
from compress.live.lines import Lines
from export import deployed
from export.serve import Live, Recogniser
from teachers.errors import DataError, RecipeError
from tests import live_folder
from tests.live_folder import V, pose

RULE = Live(window=8, stride=1, min_frames=1, votes=1, of=1, cool_down=0, max_tracks=500)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return live_folder.make(tmp_path_factory.mktemp("live") / "deploy", live=RULE)


def line(number: int, time: float, track: int | str = "a") -> str:
    return json.dumps({"time": time, "track": track, "joints": pose(number).tolist()})


def reader(folder: Path, **more) -> Lines:
    return Lines(deployed.read(folder), **more)


def test_a_line_is_one_person_or_several_and_without_a_time_the_next_frame(folder):
    lines = reader(folder, fps=10)
    joints = pose(1).tolist()
    ((track, values, time),) = lines.read(line(1, 12.5), "line 1")
    assert (track, time) == ("a", 12.5)
    np.testing.assert_array_equal(values, pose(1))
    both = {"persons": [{"track": 7, "joints": joints}, {"joints": joints}]}
    assert [(each[0], each[2]) for each in lines.read(json.dumps(both), "line 2")] == [
        (7, 0.1),
        (1, 0.1),
    ]
    joints[2] = [None, 1, 2]
    ((_, values, _),) = lines.read(json.dumps({"joints": joints}), "line 3")
    assert np.isnan(values[2, 0]) and np.isfinite(values[3]).all()
    assert lines.read('{"persons": []}', "line 4") == []


def test_the_page_plays_clips_of_a_folder_and_of_a_model_file_in_it(folder, tmp_path):
    np.save(tmp_path / "clip.npy", np.stack([pose(1)] * 4).transpose(2, 0, 1)[..., None])
    for model in (folder, folder / "model.onnx"):
        asked = argparse.Namespace(model=model, clips=[tmp_path / "clip.npy"])
        ((name, played),) = predict._demo(asked)
        assert name == "clip" and played.shape == (3, 4, V, 1)


def test_frames_of_pose_estimators_are_lines_too(tmp_path):
    from export.deployed.record import Recorded
    from teachers.skeleton import NTU_25

    flat = live_folder.make(tmp_path / "flat")
    description = deployed.read(flat)
    # OpenPose's file of one frame: two persons, x, y and a score for each of the joints.
    from dataclasses import replace

    two = replace(description, recorded=Recorded(channels=2, joints=17, persons=1))
    points = np.arange(51.0).reshape(17, 3) + 1
    frame = {"instances": [{"keypoints": points[:, :2].tolist(), "keypoint_scores": [0.9] * 17}]}
    ((track, values, _),) = Lines(two).read(json.dumps(frame), "line 1")
    assert track == 0
    np.testing.assert_array_equal(values, points[:, :2])
    # MediaPipe's 33 landmarks for a network of NTU's 25 joints.
    ntu = replace(description, skeleton=NTU_25, recorded=Recorded(channels=3, joints=25))
    landmarks = [{"x": k + 1, "y": k + 2, "z": k + 3, "visibility": 1} for k in range(33)]
    brought = Lines(ntu, skeleton="mediapipe_33")
    ((_, values, _),) = brought.read(json.dumps({"pose_world_landmarks": [landmarks]}), "line 1")
    assert values.shape == (25, 3)
    # NTU's left shoulder is MediaPipe's landmark 11.
    np.testing.assert_array_equal(values[4], [12, 13, 14])
    with pytest.raises(RecipeError, match="not known by name"):
        Lines(description, skeleton="mediapipe_33")


@pytest.mark.parametrize(
    "text, said",
    [
        ("{", "line 1: not JSON"),
        ('{"time": true, "joints": []}', "time: must be a number of seconds"),
        ('{"time": 1e400, "joints": []}', "time: must be a number of seconds"),
        ('{"joints": [[1, 2, 3]]}', "joints: expected 5 of 3 coordinates"),
        ('{"track": [], "joints": []}', "track: must be a number or a short text"),
        ('{"persons": {}}', "persons: must be a list"),
        ('{"persons": [4]}', "line 1: persons[0]: expected"),
        ('{"hello": 1}', "a line is a frame"),
        ("[" * 100_000, "line 1"),
    ],
)
def test_a_line_that_is_none_is_refused_with_its_place(folder, text, said):
    with pytest.raises(DataError) as error:
        reader(folder).read(text, "line 1")
    assert said in str(error.value)


def test_predict_follows_lines_and_goes_on_after_a_bad_one(folder, tmp_path, monkeypatch, capsys):
    texts = [line(1, 0.0), "", "{bad", line(1, 0.1), line(2, 0.2), line(2, 0.15), line(2, 0.3)]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("\n".join(texts).encode())))
    code = predict.main([str(folder), "--follow", "--answers"])
    printed = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    kinds = [(each.get("event"), each.get("class")) for each in printed if "event" in each]
    assert kinds == [("start", "wave"), ("end", "wave")]
    errors = [each["error"] for each in printed if "error" in each][:-1]
    assert errors[0].startswith("line 3: not JSON")
    assert "line 6: track 'a': time 0.15 is not after 0.2" in errors[1]
    assert sum("top" in each for each in printed) == 4
    last = printed[-1]
    assert (code, last["lines"], last["poses"], last["events"], last["errors"]) == (1, 7, 5, 2, 2)
    # A file, and without a bad line.
    file = tmp_path / "poses.jsonl"
    file.write_text("\n".join([texts[0], texts[3]]))
    assert predict.main([str(folder), str(file), "--follow"]) == 0


@pytest.mark.parametrize(
    "times, options, said",
    [
        # Milliseconds: of two persons each has left whenever the other one is there.
        ([33 * number for number in range(20)], [], True),
        # Twice in three seconds.
        ([number / 1.5 for number in range(20)], [], True),
        ([None] * 20, ["--fps", "1.5"], False),
        ([number / 1.5 for number in range(20)], ["--fps", "1.5"], False),
        # Too few for a window, and no gap.
        ([0.0, 0.1], [], False),
    ],
)
def test_poses_that_are_too_rare_are_said_to_be(tmp_path, capsys, times, options, said):
    folder = live_folder.make(tmp_path / "deploy")
    file = tmp_path / "poses.jsonl"
    for persons in (1, 2):
        lines = [
            json.dumps({"time": time, "track": number % persons, "joints": pose(1).tolist()})
            for number, time in enumerate(times)
        ]
        file.write_text("\n".join(lines))
        assert predict.main([str(folder), str(file), "--follow", *options]) == 0
        printed = capsys.readouterr()
        last = json.loads(printed.out.splitlines()[-1])
        assert (last["gaps"] > 10) == said
        note = "note: no window is answered: poses come more than live.max_gap"
        assert (note in printed.err) == said
        assert (last["windows"] > 0) == (not said and len(times) > 2)


@pytest.mark.parametrize("way", ["--follow", "--serve=8000"])
@pytest.mark.parametrize(
    "given, said",
    [
        ("--top=3", "--top: {way} has no use for that"),
        ("--batch-size=1", "--batch-size: {way} has no use for that"),
        ("--scores=a.npz --embeddings=b.npz", "--scores, --embeddings: {way} has no use for that"),
        ("--frames=4 --classes=a,b", "--frames, --classes: {way} takes a deployed folder"),
        ("--recipe=stgcn -o teacher.width=4", "--recipe, -o: {way} takes a deployed folder"),
    ],
)
def test_live_poses_refuse_options_of_clips(folder, capsys, way, given, said):
    assert predict.main([str(folder), way, *given.split()], hints=recipe_options) == 1
    assert said.format(way=way.partition("=")[0]) in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, said",
    [
        ("clip.npy --fps=30", "--fps: live poses alone have a use for that; leave it out, or add"),
        ("clip.npy --fps=0", "--fps: live poses alone"),
        ("clip.npy --from-skeleton=coco_17", "--from-skeleton: live poses alone"),
        (
            "clip.npy --answers",
            "--answers: live poses alone have a use for that; leave it out, or add",
        ),
        ("--serve=8000 --answers", "--answers: --serve answers every window in its replies"),
        ("--serve=8000 --follow", "--follow, --serve: are two ways to follow live poses"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(folder, capsys, given, said):
    assert predict.main([str(folder), *given.split()]) == 1
    assert said in capsys.readouterr().err


def test_what_a_folder_says_of_gaps_counts_more_than_how_rare_poses_are(tmp_path):
    folder = live_folder.make(tmp_path / "deploy", live=RULE)
    assert Recogniser(folder, pose_rate=1.5).live == RULE
    bare = Recogniser(live_folder.make(tmp_path / "bare"), pose_rate=1.0).live
    assert (bare.max_gap, bare.leave_after) == (2.0, 8.0)
    usual = Recogniser(tmp_path / "bare").live
    assert (usual.max_gap, usual.leave_after) == (Live.max_gap, Live.leave_after)


def test_a_line_without_an_end_is_passed_over(folder, monkeypatch, capsys):
    monkeypatch.setattr("compress.live.follow.LONGEST_LINE", 1_000)
    monkeypatch.setattr("compress.live.lines.LONGEST_LINE", 1_000)
    text = "[" + "1," * 5_000 + "\n" + line(1, 0.0)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert predict.main([str(folder), "--follow"]) == 1
    printed = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert "more than 1000 bytes" in printed[0]["error"]
    assert [each["event"] for each in printed if "event" in each] == ["start", "end"]


def test_the_hub_keeps_sources_apart_and_within_their_limits(folder):
    async def talk() -> None:
        recogniser = Recogniser(folder, clock_of=clock_of)
        limits = Limits(sources=2, tracks=2, poses_a_second=10, idle=0)
        hub = Hub(recogniser, lambda: reader(folder), limits)
        hub.start()
        one, two = await hub.source(1), await hub.source(2)

        async def send(source, *texts):
            return await hub.send(source, *hub.read(source, "\n".join(texts)))

        # Each with a track of the same name, at the same moment; then one runs ahead.
        replies = await asyncio.gather(send(one, line(1, 0.0)), send(two, line(2, 0.0)))
        assert [each["events"][0]["class"] for each in replies] == ["wave", "jump"]
        assert replies[0]["events"][0]["track"] == "a"
        await send(one, line(1, 1000.0))
        assert (await send(two, line(2, 0.1)))["events"] == []
        # Two tracks are allowed, and a third is told so by the name that the source knows.
        crowded = await send(one, line(1, 1000.1, "b"), line(1, 1000.1, "c"), line(1, 1000.1))
        assert crowded["errors"] == ["track 'c': 2 are followed already"]
        late = await send(one, line(1, 3.0))
        assert late["errors"] == [
            "track 'a': time 3 is not after 1000.1; push the poses of a track in order"
        ]
        assert hub.counts["poses"] == 7 and hub.counts["errors"] == 2
        with pytest.raises(DataError, match="2 sources are followed already"):
            await hub.source(3)
        _, errors = hub.read(one, "{\n" * 1_000)
        assert len(errors) == 22 and hub.counts["errors"] == 102
        await hub.drop(one)
        assert len(recogniser) == 1
        # By name, and silent for long: it makes room.
        named = await hub.source("camera")
        await send(named, line(1, 5.0))
        named.seen -= 1
        await hub.source(4)
        assert (len(recogniser), "camera" in hub.sources) == (1, False)
        assert hub.pause(two, 10) == pytest.approx(0, abs=0.2)
        assert 0.5 < hub.pause(two, 10) < 2
        await hub.stop()

    asyncio.run(talk())


def test_lines_without_a_pose_cost_what_poses_cost_and_a_message_of_bad_ones_is_not_read(folder):
    async def talk() -> None:
        limits = Limits(poses_a_second=1_000)
        hub = Hub(Recogniser(folder, clock_of=clock_of), lambda: reader(folder), limits)
        source = await hub.source(1)
        began = time.perf_counter()
        poses, errors = hub.read(source, "1\n" * 200_000 + line(1, 0.0))
        # All of them took 10 s and more.
        assert time.perf_counter() - began < 3
        assert poses == [] and len(errors) == 22
        assert errors[-1].startswith(
            "199901 further lines were not read: 100 of this message are wrong"
        )
        assert source.credit == 900
        # Lines are numbered on, and one of nobody costs as much as one that is wrong, or a pose.
        poses, errors = hub.read(source, '{"persons": []}\n' * 399 + "\n{\n" + line(1, 0.0))
        assert [text.split(":")[0] for text in errors] == ["line 200401"]
        assert (len(poses), source.credit) == (1, 500)
        # Two persons in a line are two poses, as before.
        joints = {"joints": pose(1).tolist()}
        poses, _ = hub.read(source, json.dumps({"persons": [joints, joints]}))
        assert (len(poses), source.credit) == (2, 500)

    asyncio.run(talk())


def test_a_client_whose_numbers_overflow_silences_no_other(folder):
    async def talk() -> None:
        hub = Hub(Recogniser(folder, clock_of=clock_of), lambda: reader(folder), Limits())
        hub.start()
        good, bad = await hub.source(1), await hub.source(2)
        huge = json.dumps({"time": 0.0, "track": "a", "joints": [[3e38] * 3] * V})
        replies = await asyncio.gather(
            *(
                hub.send(each, *hub.read(each, text))
                for each, text in ((bad, huge), (good, line(1, 0.0)))
            )
        )
        assert [len(each["answers"]) for each in replies] == [0, 1]
        assert replies[1]["events"][0]["class"] == "wave"
        assert (hub.counts["unusable"], hub.counts["failures"]) == (1, 0)
        await hub.stop()

    asyncio.run(talk())


def test_a_client_that_starts_again_under_its_name_is_followed_after_a_while(folder):
    async def talk() -> None:
        recogniser = Recogniser(folder, clock_of=clock_of)
        hub = Hub(recogniser, lambda: reader(folder), Limits(idle=1_000))
        hub.start()

        async def send(name, *texts):
            source = await hub.source(name)
            return await hub.send(source, *hub.read(source, "\n".join(texts)))

        def wait(name):
            hub.sources[name].followed -= 2_000
            hub.sources[name].seen -= 2_000

        await send("camera", line(1, 50.0))
        old = hub.sources["camera"]
        assert "is not after 50" in (await send("camera", line(1, 0.0)))["errors"][0]
        # What is refused does not keep it, and nobody else has to come.
        wait("camera")
        reply = await send("camera", line(1, 0.0))
        assert (reply["errors"], reply["events"][0]["time"]) == ([], 0.0)
        assert hub.sources["camera"] is not old and len(recogniser) == 1
        # Forgotten already: no harm to the new one.
        await hub.drop(old)
        assert len(recogniser) == 1
        with pytest.raises(DataError, match="source 'camera': was forgotten meanwhile; send again"):
            await hub.send(old, [], [])
        # Frames without anybody are a sign of life, times that are refused are none.
        wait("camera")
        hub.sources["camera"].sending += 1
        await send("camera", '{"persons": []}')
        hub.sources["camera"].sending -= 1
        assert hub.sources["camera"].followed > time.monotonic() - 100
        before = hub.sources["camera"].followed
        await send("camera", line(1, -1.0))
        assert hub.sources["camera"].followed == before
        await hub.stop()

    asyncio.run(talk())


def test_the_tracks_of_a_client_that_went_away_are_dropped_though_no_other_comes(
    folder, monkeypatch
):
    monkeypatch.setattr("compress.live.hub.OFTEN", 0.02)

    async def talk() -> None:
        recogniser = Recogniser(folder, clock_of=clock_of)
        hub = Hub(recogniser, lambda: reader(folder), Limits(idle=0.05))
        hub.start()
        named, connected = await hub.source("camera"), await hub.source(1)
        for source in (named, connected):
            await hub.send(source, *hub.read(source, line(1, 0.0)))
        for _ in range(200):
            if len(recogniser) == 1:
                break
            await asyncio.sleep(0.05)
        # A connection ends by itself, and what it sent last is not followed behind its end.
        assert (list(hub.sources), len(recogniser)) == ([1], 1)
        last = asyncio.create_task(hub.send(connected, *hub.read(connected, line(1, 0.1, "b"))))
        await asyncio.sleep(0)
        last.cancel()
        await hub.drop(connected)
        other = await hub.source(2)
        await hub.send(other, *hub.read(other, line(1, 0.0)))
        assert len(recogniser) == 1
        await hub.stop()

    asyncio.run(talk())


def test_a_fault_in_the_network_is_an_answer_and_the_next_one_is_computed(folder, monkeypatch):
    async def talk() -> None:
        hub = Hub(Recogniser(folder, clock_of=clock_of), lambda: reader(folder), Limits())
        hub.start()
        source = await hub.source(1)
        whole = hub._compute
        monkeypatch.setattr(hub, "_compute", lambda jobs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await hub.send(source, *hub.read(source, line(1, 0.0)))
        monkeypatch.setattr(hub, "_compute", whole)
        reply = await hub.send(source, *hub.read(source, line(1, 0.0)))
        assert reply["events"][0]["class"] == "wave" and hub.is_well
        await hub.stop()

    asyncio.run(talk())


@pytest.mark.parametrize(
    "text, found",
    [
        ("8000", ("127.0.0.1", 8000)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::1]:8000", ("[::1]", 8000)),
    ],
)
def test_a_port_alone_is_on_this_machine(text, found):
    assert service.address(text) == found


@pytest.mark.parametrize("text", ["", "host", "host:", "1.2.3.4:99999"])
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(RecipeError, match="expected"):
        service.address(text)


@pytest.mark.parametrize("text", ["::1:8000", "::1", "[::1:8000", "[]:8000", "[host]:8000"])
def test_an_address_of_ipv6_stands_in_brackets(text):
    with pytest.raises(RecipeError, match=r"an IPv6 address in brackets; write \[::1\]:"):
        service.address(text)


def test_the_socket_of_an_ipv6_address_has_no_brackets_and_its_url_has(folder, monkeypatch):
    """With stand-ins for aiohttp, which may not be installed."""
    opened, told = [], []

    class Runner:
        addresses = (("::1", 8000, 0, 0),)

        def __init__(self, app):
            pass

        async def setup(self):
            pass

        cleanup = setup

    class Site:
        def __init__(self, runner, *where):
            opened.append(where)

        async def start(self):
            pass

    def stop(url: str) -> None:
        told.append(url)
        raise KeyboardInterrupt

    web = SimpleNamespace(AppRunner=Runner, TCPSite=Site)
    monkeypatch.setitem(sys.modules, "aiohttp", SimpleNamespace(web=web))
    monkeypatch.setattr(service, "application", lambda *given: None)
    with pytest.raises(KeyboardInterrupt):
        service.run(None, lambda: reader(folder), service.address("[::1]:8000"), on_start=stop)
    assert (opened, told) == ([("::1", 8000)], ["http://[::1]:8000"])


def test_without_aiohttp_the_message_says_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    with pytest.raises(RecipeError, match=r"pip install featherbone\[service\]"):
        service.run(None, lambda: reader(folder), ("127.0.0.1", 0))


def conversation(folder: Path, limits: Limits, talk) -> None:
    """Run `talk(session, url)` against the service on a free port of this machine."""
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import web

    async def both() -> None:
        recogniser = Recogniser(folder, clock_of=clock_of)
        app = service.application(
            recogniser, lambda: reader(folder), "127.0.0.1", line(1, 0.0), limits
        )
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            await talk(session, url, recogniser)
        await runner.cleanup()

    asyncio.run(asyncio.wait_for(both(), 60))


def test_the_service_answers_and_refuses_by_http(folder):
    async def talk(session, url, recogniser):
        body = "\n".join([line(1, 0.0), "{bad", line(1, 0.1)])
        reply = await session.post(f"{url}/poses?source=cam", data=body)
        content = await reply.json()
        assert reply.status == 200 and content["events"][0]["class"] == "wave"
        assert len(content["answers"]) == 2 and content["errors"][0].startswith("line 2: not JSON")
        for path, data, headers, status, said in (
            ("/poses?source=cam", b"{", {}, 400, "line 4: not JSON"),
            ("/poses", b"", {}, 400, "a name of 1 to 100 letters"),
            ("/poses?source=cam", b"\xff\xfe", {}, 400, "no UTF-8"),
            ("/poses?source=cam", b" " * 3_000, {}, 413, "more than 2000 bytes"),
            ("/poses?source=cam", b"", {"Host": "evil.example"}, 403, "for this machine alone"),
            ("/poses?source=cam", b"", {"Origin": "http://evil.example"}, 403, "other sites"),
        ):
            reply = await session.post(f"{url}{path}", data=data, headers=headers)
            assert (reply.status, said in await reply.text()) == (status, True), path
        health = await (await session.get(f"{url}/health")).json()
        assert health["status"] == "ok"
        metrics = await (await session.get(f"{url}/metrics")).text()
        assert "featherbone_poses_total 2\n" in metrics and "featherbone_tracks 1\n" in metrics
        assert "featherbone_gaps_total 0\n" in metrics
        about = await (await session.get(f"{url}/about")).json()
        assert about["bones"] == [[1, 0], [2, 0], [3, 0], [4, 3]] and about["demo"]
        page = await session.get(url)
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert "<canvas" in await page.text()

    conversation(folder, Limits(body=2_000), talk)


def test_a_source_that_sent_too_many_lines_is_refused_before_the_next_are_read(folder):
    async def talk(session, url, recogniser):
        async def post(text: str):
            return await session.post(f"{url}/poses?source=cam", data=text)

        nobody = '{"persons": []}\n' * 300
        first = await post(nobody)
        assert first.status == 429 and int(first.headers["Retry-After"]) > 10
        # What was read stays paid for.
        again = await post(line(1, 0.0))
        assert again.status == 429 and "lines without one" in await again.text()

    conversation(folder, Limits(poses_a_second=10), talk)


def test_sixty_clients_at_once_lose_nothing_and_leave_nothing(folder):
    async def talk(session, url, recogniser):
        async def client(number: int) -> int:
            answered = 0
            async with session.ws_connect(f"{url}/live") as socket:
                for step in range(10):
                    bad = "{oops" if number % 3 == 0 and step == 5 else line(number % 3, step / 10)
                    await socket.send_str(bad)
                for step in range(10):
                    reply = await asyncio.wait_for(socket.receive_json(), 30)
                    answered += len(reply["answers"])
                    oops = number % 3 == 0 and step == 5
                    assert len(reply["errors"]) == oops
                    # Of this client's own poses, in their order.
                    if not oops:
                        (answer,) = reply["answers"]
                        assert answer["time"] == step / 10
                        assert answer["top"][0]["id"] == number % 3
            return answered

        counts = await asyncio.gather(*(client(number) for number in range(60)))
        assert counts == [9 if number % 3 == 0 else 10 for number in range(60)]
        for _ in range(100):
            if not len(recogniser):
                break
            await asyncio.sleep(0.05)
        assert len(recogniser) == 0

    conversation(folder, Limits(), talk)


def test_a_client_that_does_not_read_is_dropped_and_the_others_are_served(folder):
    async def talk(session, url, recogniser):
        host, port = url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), limit=1)
        head = (
            f"GET /live HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade"
            "\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(head.encode())
        # Its errors make a long reply; none of it is read.
        text = b'{"a":1}\n' * 30
        frame = b"\x81\xfe" + len(text).to_bytes(2, "big") + bytes(4) + text

        async def flood() -> None:
            # Whether the server reads on or has gone is its business.
            with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
                for _ in range(3_000):
                    writer.write(frame)
                    await asyncio.wait_for(writer.drain(), 5)

        flooding = asyncio.create_task(flood())
        async with session.ws_connect(f"{url}/live") as socket:
            for step in range(10):
                await socket.send_str(line(1, step / 10))
                reply = await asyncio.wait_for(socket.receive_json(), 30)
                assert len(reply["answers"]) == 1
        await flooding
        for _ in range(200):
            metrics = await (await session.get(f"{url}/metrics")).text()
            if "featherbone_slow_clients_total 1\n" in metrics:
                break
            await asyncio.sleep(0.1)
        assert "featherbone_slow_clients_total 1\n" in metrics
        writer.close()

    conversation(folder, Limits(slow=0.5), talk)

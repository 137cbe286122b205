"""The service of a deployed folder: poses in by HTTP or WebSocket, events out, and a page that shows
both. aiohttp; on this machine alone unless a host is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from compress.live.hub import Hub, Limits, Source
from compress.live.lines import Lines
from compress.reporting import design
from export.deployed import Description
from export.serve import Recogniser
from teachers.errors import DataError, FeatherboneError, RecipeError

USUAL = Limits()
HERE = "127.0.0.1"
LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")
PAGE = Path(__file__).with_name("page.html")
# In it: where the sheet of all pages goes.
SHEET = "/* sheet */"
LONGEST_NAME = 100
INSTALL = "--serve needs aiohttp; install it by `pip install featherbone[service]`"
# Seconds without a word after which a connection is asked whether it is there.
HEARTBEAT = 30.0
# Of /metrics, as `Hub.counts` calls them.
COUNTERS = (
    "poses",
    "windows",
    "gaps",
    "unusable",
    "events",
    "errors",
    "failures",
    "milliseconds",
    "messages",
    "slow_clients",
    "refused_sources",
)
# Nothing of the page comes from elsewhere, and no other page may show it.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
        " connect-src 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}


def address(text: str) -> tuple[str, int]:
    """(host, port) of `[HOST:]PORT`; an IPv6 address keeps its brackets, as URLs and `Host` have it.

    Raises:
        RecipeError: it is none.
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65_535:
        raise RecipeError(f"--serve {text}: expected [HOST:]PORT, for example 127.0.0.1:8000")
    # `::1:8000` may be port 8000 or none; and "", what is left of `[]`, would be every address.
    if (":" in host) != (host.startswith("[") and host.endswith("]")):
        raise RecipeError(
            f"--serve {text}: expected [HOST:]PORT, an IPv6 address in brackets; write"
            f" [::1]:{port}, for example"
        )
    return host or HERE, int(port)


def run(
    recogniser: Recogniser,
    lines: Callable[[], Lines],
    where: tuple[str, int],
    demo: str = "",
    limits: Limits = USUAL,
    on_start: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve until the process is told to stop.

    Args:
        recogniser: made with `compress.live.hub.clock_of`.
        lines: makes the reader of a new source.
        demo: lines of JSON that the page plays.
        on_start: is told the address.
    Raises:
        RecipeError: aiohttp is not installed, or the address cannot be taken.
    """
    try:
        from aiohttp import web
    except ImportError as error:
        raise RecipeError(INSTALL) from error

    async def serve() -> None:
        runner = web.AppRunner(application(recogniser, lines, where[0], demo, limits))
        await runner.setup()
        try:
            # A socket takes an IPv6 address without its brackets.
            site = web.TCPSite(runner, where[0].strip("[]"), where[1])
            await site.start()
            on_start(f"http://{where[0]}:{runner.addresses[0][1]}")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    try:
        asyncio.run(serve())
    except OSError as error:
        raise RecipeError(
            f"--serve {where[0]}:{where[1]}: cannot listen there ({error.strerror}); choose another"
            " port"
        ) from error


def application(
    recogniser: Recogniser, lines: Callable[[], Lines], host: str, demo: str, limits: Limits
) -> Any:
    """The aiohttp application."""
    from aiohttp import web

    hub = Hub(recogniser, lines, limits)
    handlers = _Handlers(hub, host, demo)
    # A little more than the body: the limit is said in our own words.
    app = web.Application(client_max_size=limits.body, middlewares=[handlers.guarded])
    app.add_routes(
        [
            web.get("/", handlers.page),
            web.get("/about", handlers.about),
            web.get("/demo", handlers.demo),
            web.get("/health", handlers.health),
            web.get("/metrics", handlers.metrics),
            web.post("/poses", handlers.poses),
            web.get("/live", handlers.live),
        ]
    )

    async def running(_app: Any) -> Any:
        hub.start()
        yield
        await hub.stop()

    app.cleanup_ctx.append(running)
    return app


class _Handlers:
    """One method a path."""

    def __init__(self, hub: Hub, host: str, demo: str):
        from aiohttp import web

        self.web = web
        self.hub = hub
        self.local = host in LOCAL_NAMES
        self.played = demo
        self._numbers = count()
        self._clients = 0

        # A function: aiohttp marks it, and a method takes no mark.
        @web.middleware
        async def guarded(request: Any, handler: Any) -> Any:
            return await self._guarded(request, handler)

        self.guarded = guarded

    async def _guarded(self, request: Any, handler: Any) -> Any:
        """No page of another site may use the service: browsers say where they come from, and a
        name that leads here but is not ours is somebody's trick (DNS rebinding)."""
        host = request.headers.get("Host", "")
        origin = request.headers.get("Origin")
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if self.local and name not in LOCAL_NAMES:
            return self._error(403, f"Host {host[:60]!r}: this service is for this machine alone")
        if origin is not None and origin.partition("://")[2] != host:
            return self._error(403, f"Origin {origin[:60]!r}: pages of other sites are refused")
        try:
            return await handler(request)
        except self.web.HTTPRequestEntityTooLarge:
            return self._error(413, f"more than {self.hub.limits.body} bytes; send fewer lines")
        except DataError as error:
            return self._error(503, str(error))
        except FeatherboneError as error:
            return self._error(500, str(error))

    def _error(self, status: int, message: str, **headers: str) -> Any:
        return self.web.json_response({"error": message}, status=status, headers=headers)

    async def page(self, _request: Any) -> Any:
        text = PAGE.read_text(encoding="utf-8").replace(SHEET, design.sheet())
        return self.web.Response(text=text, content_type="text/html", headers=HEADERS)

    async def about(self, _request: Any) -> Any:
        recogniser = self.hub.recogniser
        return self.web.json_response(about(recogniser.description, recogniser, bool(self.played)))

    async def demo(self, _request: Any) -> Any:
        return self.web.Response(text=self.played, content_type="application/x-ndjson")

    async def health(self, _request: Any) -> Any:
        well = self.hub.is_well
        content = {"status": "ok" if well else "failed", "network": self._network}
        return self.web.json_response(content, status=200 if well else 503)

    @property
    def _network(self) -> str:
        return self.hub.recogniser.description.network

    async def metrics(self, _request: Any) -> Any:
        """Prometheus' text format, version 0.0.4."""
        counts = self.hub.counts
        lines = []
        for name in COUNTERS:
            lines += [f"# TYPE featherbone_{name}_total counter"]
            lines += [f"featherbone_{name}_total {counts[name]}"]
        gauges = {
            "clients": self._clients,
            "sources": len(self.hub.sources),
            "tracks": len(self.hub.recogniser),
            "waiting": self.hub.waiting,
        }
        for name, value in gauges.items():
            lines += [f"# TYPE featherbone_{name} gauge", f"featherbone_{name} {value}"]
        return self.web.Response(text="\n".join(lines) + "\n", content_type="text/plain")

    async def poses(self, request: Any) -> Any:
        """Lines of JSON in the body; `?source=NAME` says which source goes on."""
        name = request.query.get("source", "")
        if not 0 < len(name) <= LONGEST_NAME:
            return self._error(
                400, f"?source=NAME: a name of 1 to {LONGEST_NAME} letters is needed"
            )
        try:
            text = (await request.read()).decode("utf-8")
        except UnicodeDecodeError:
            return self._error(400, "the body is no UTF-8 text; send lines of JSON")
        source = await self.hub.source(name)
        # Before it is read, for reading is what lines without a pose are paid for.
        seconds = self.hub.pause(source, 0)
        if seconds > self.hub.limits.slow:
            return self._too_fast(seconds)
        poses, errors = self.hub.read(source, text)
        seconds = self.hub.pause(source, len(poses))
        if seconds > self.hub.limits.slow:
            # Given back: what is refused was not computed.
            source.credit += len(poses)
            return self._too_fast(seconds)
        await asyncio.sleep(seconds)
        self.hub.counts["messages"] += 1
        reply = await self.hub.send(source, poses, errors)
        bad = errors and not poses
        return self.web.json_response(reply, status=400 if bad else 200)

    def _too_fast(self, seconds: float) -> Any:
        rate = self.hub.limits.poses_a_second
        return self._error(
            429,
            f"more than {rate:g} poses, or lines without one, a second",
            **{"Retry-After": f"{seconds:.0f}"},
        )

    async def live(self, request: Any) -> Any:
        """A connection is a source: every message is lines of JSON, and has one reply, in order."""
        socket = self.web.WebSocketResponse(
            max_msg_size=self.hub.limits.body, heartbeat=HEARTBEAT, compress=False
        )
        # Before the handshake, so that a client that is too many is told so by its status.
        source = await self.hub.source(next(self._numbers))
        self._clients += 1
        try:
            await socket.prepare(request)
            await self._converse(socket, source)
        finally:
            self._clients -= 1
            # Though this handler may have been cancelled: its tracks must go.
            await asyncio.shield(self.hub.drop(source))
        return socket

    async def _converse(self, socket: Any, source: Source) -> None:
        limits = self.hub.limits
        async for message in socket:
            if message.type is not self.web.WSMsgType.TEXT:
                break
            poses, errors = self.hub.read(source, message.data)
            # The next message is not read meanwhile: the sender waits, and nothing is lost.
            await asyncio.sleep(self.hub.pause(source, len(poses)))
            self.hub.counts["messages"] += 1
            try:
                reply = await self.hub.send(source, poses, errors)
            except FeatherboneError as error:
                reply = {"events": [], "answers": [], "errors": [str(error)]}
            try:
                await asyncio.wait_for(socket.send_str(json.dumps(reply)), limits.slow)
            except TimeoutError:
                # It does not read what it asked for.
                self.hub.counts["slow_clients"] += 1
                break
            except ConnectionError:
                break


def about(description: Description, recogniser: Recogniser, demo: bool) -> dict[str, Any]:
    """What the page must know; joints from 0."""
    bones = [[child - 1, parent - 1] for child, parent in description.skeleton.bones]
    recorded = description.recording
    if recorded.joints != description.skeleton.joints:
        bones = []
    live = recogniser.live
    return {
        "network": description.network,
        "classes": list(description.classes),
        "joints": recorded.joints,
        "coordinates": recorded.coordinates or recorded.channels,
        "bones": bones,
        "window": live.window,
        "stride": live.stride,
        "threshold": live.threshold,
        "demo": demo,
    }

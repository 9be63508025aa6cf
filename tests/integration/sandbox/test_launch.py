from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tallystick.sandbox.launch import LaunchError, Sandbox, ServerPlan
from tallystick.sandbox.options import SYSTEMS


def listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


async def test_all_systems_start_at_once_each_with_its_page_and_stop_cleanly(tmp_path: Path) -> None:
    async with Sandbox(tmp_path) as sandbox:
        servers = await sandbox.start(*(ServerPlan(system) for system in SYSTEMS))
        assert set(servers) == set(SYSTEMS)
        assert len({server.token for server in servers.values()}) == len(SYSTEMS)
        for name, server in servers.items():
            assert "/faults" in (await sandbox.call(name, "GET", "/openapi.json"))["paths"]
            assert server.connection["kind"] == f"sandbox_{server.system}"
            assert server.token not in repr(server)
            assert server.event_secret not in repr(server)
    assert not any(listens(server.url) for server in servers.values())
    assert all(server.log_file.read_text() == "" for server in servers.values())


async def test_a_restart_keeps_address_and_token_and_a_kill_is_a_kill(tmp_path: Path) -> None:
    async with Sandbox(tmp_path) as sandbox:
        (before,) = (await sandbox.start(ServerPlan("tax", name="sales-tax"))).values()
        await sandbox.kill("sales-tax")
        with pytest.raises(httpx.ConnectError):
            await sandbox.call("sales-tax", "GET", "/rates")
        after = await sandbox.restart("sales-tax")
        assert (after.url, after.token, after.event_secret) == (before.url, before.token, before.event_secret)
        assert after.pid != before.pid
        assert await sandbox.call("sales-tax", "GET", "/rates")


async def test_a_server_that_cannot_start_says_why_and_the_others_are_stopped(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    with pytest.raises(LaunchError, match=r"sandbox wms did not start .* Simulation\.wieghts"):
        await sandbox.start(ServerPlan("tax"), ServerPlan("wms", settings={"wieghts": {}}))
    assert not any(listens(server.url) for server in sandbox.servers.values())


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LaunchError, match=f"cannot listen on 127.0.0.1:{port}"):
            await Sandbox(tmp_path).start(ServerPlan("tax", port=port))


async def test_servers_stop_when_the_process_that_started_them_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path\n"
        "from tallystick.sandbox.launch import Sandbox, ServerPlan\n"
        "async def main():\n"
        "    sandbox = Sandbox(Path(sys.argv[1]))\n"
        "    print((await sandbox.start(ServerPlan('tax')))['tax'].url, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    url = (await parent.stdout.readline()).decode().strip()
    assert listens(url)
    parent.kill()
    await parent.wait()
    async with asyncio.timeout(10):
        while listens(url):  # noqa: ASYNC110 - another process ends; nothing tells us
            await asyncio.sleep(0.05)

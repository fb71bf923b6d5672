"""The example of a web service: its handlers share a cache on S3."""

import asyncio
import importlib.util
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from s3.servers import Server

from perkey import BasicS3Dict

PROGRAM = Path(__file__).parents[2] / "examples" / "web_cache.py"


def loaded(monkeypatch: pytest.MonkeyPatch, server: Server, bucket: str) -> Any:
    monkeypatch.setenv("CACHE_BUCKET", bucket)
    monkeypatch.setenv("CACHE_REGION", "us-east-1")
    monkeypatch.setenv("CACHE_ENDPOINT", server.endpoint)
    spec = importlib.util.spec_from_file_location("web_cache", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_two_services_share_the_cache(
    monkeypatch: pytest.MonkeyPatch, ministack: Server, bucket: str
) -> None:
    services = [loaded(monkeypatch, ministack, bucket) for _ in range(2)]
    assert all(service.pages.is_native for service in services)
    rendered: list[str] = []

    async def render(title: str) -> dict[str, object]:
        rendered.append(title)
        return {"title": title}

    async def run() -> None:
        for service in services:
            monkeypatch.setattr(service, "render", render)
            async with (
                service.lifespan(service.app),
                httpx.AsyncClient(
                    transport=httpx.ASGITransport(app=service.app), base_url="http://test"
                ) as client,
            ):
                # The first one renders the page; then many at a time find it.
                first = await client.get("/Grüße aus Köln")
                assert first.status_code == 200
                replies = await asyncio.gather(*(client.get("/Grüße aus Köln") for _ in range(10)))
                assert {reply.json()["title"] for reply in replies} == {"Grüße aus Köln"}

    asyncio.run(run())
    assert rendered == ["Grüße aus Köln"]
    d = BasicS3Dict[Any](
        bucket, region="us-east-1", endpoint_url=ministack.endpoint, root_prefix="pages", file_type="json"
    )
    assert list(d.get_subdict("visits").values()) == [22]


def test_the_example_is_short() -> None:
    assert len(PROGRAM.read_text().splitlines()) < 60
    assert "web_cache" not in sys.modules

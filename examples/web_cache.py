"""A web service whose handlers share a cache, in one event loop: on S3, or in memory while you try it."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from typing import Any

from httpx import ASGITransport, AsyncClient
from sklearn.datasets import load_wine
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from perkey import BasicS3Dict, LocalDict, quote
from perkey.aio import AsyncDict

WINE = load_wine()
about: dict[str, Any] = {"root_prefix": "pages", "file_type": "json", "engine": "obstore"}
about |= {"region": os.environ.get("CACHE_REGION"), "endpoint_url": os.environ.get("CACHE_ENDPOINT")}
bucket = os.environ.get("CACHE_BUCKET")
pages = AsyncDict[Any](BasicS3Dict(bucket, **about) if bucket else LocalDict("json"))


async def render(title: str) -> dict[str, object]:
    """Describe a column of the table of wines that scikit-learn ships; in place of a slow query."""
    values = WINE.data[:, WINE.feature_names.index(title)]
    return {"title": title, "lowest": values.min(), "highest": values.max()}


async def page(request: Request) -> JSONResponse:
    """Return a page from the cache; render it if it is missing, and count its readers."""
    key = quote(
        title := request.path_params["title"]
    )  # if several readers render a page, the first one stays
    found = await pages.get(key) or await pages.setdefault(key, await render(title))
    visits = await pages.transform_item(("visits", key), lambda n: n + 1, default=0)
    return JSONResponse({**found, "visits": visits.new_value})


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Wait for what is under way when the service ends."""
    async with pages:
        yield


app = Starlette(routes=[Route("/{title}", page)], lifespan=lifespan)  # uvicorn web_cache:app --workers 4


async def main() -> None:
    """Ask the service some times, as browsers would."""
    async with lifespan(app), AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        print(*[(await client.get(f"/{title}")).text for title in ("alcohol", "hue", "alcohol")], sep="\n")


if __name__ == "__main__":
    asyncio.run(main())

"""A web service whose handlers share a cache on S3, in one event loop.

pip install 'perkey[s3,obstore,aio]' starlette uvicorn
CACHE_BUCKET=my-bucket uvicorn web_cache:app --workers 4
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from perkey import BasicS3Dict, quote
from perkey.aio import AsyncDict

pages: AsyncDict[dict[str, object]] = AsyncDict(
    BasicS3Dict(
        os.environ.get("CACHE_BUCKET", "my-bucket"),
        region=os.environ.get("CACHE_REGION"),
        endpoint_url=os.environ.get("CACHE_ENDPOINT"),
        root_prefix="pages",
        file_type="json",
        engine="obstore",
    )
)


async def render(title: str) -> dict[str, object]:
    """Stand in for what takes long: a model, a query, another service."""
    await asyncio.sleep(0.1)
    return {"title": title, "length": len(title)}


async def page(request: Request) -> JSONResponse:
    """Return a page from the cache; render it if it is not there, and count its readers."""
    title = request.path_params["title"]
    key = quote(title)
    found = await pages.get(key)
    if found is None:
        found = await pages.setdefault(
            key, await render(title)
        )  # of several that render it, the first one stays
    visits = await pages.transform_item(("visits", key), lambda n: n + 1, default=0)
    return JSONResponse({**found, "visits": visits.new_value})


@contextlib.asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Wait for what is under way when the service ends."""
    async with pages:
        yield


app = Starlette(routes=[Route("/{title}", page)], lifespan=lifespan)

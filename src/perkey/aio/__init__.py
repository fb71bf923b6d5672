"""Dictionaries for programs that run in an event loop: the same verbs, awaited."""

from perkey.aio.async_dict import AsyncDict

__all__ = ["AsyncDict"]

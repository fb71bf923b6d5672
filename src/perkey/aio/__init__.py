"""Dictionaries for programs that run in an event loop: the same verbs, awaited."""

from perkey.aio.async_dict import AsyncDict, wait_for

__all__ = ["AsyncDict", "wait_for"]

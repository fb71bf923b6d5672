"""Functions of a module, as users write them."""

from perkey import memoize
from perkey.dicts import LocalDict

results = LocalDict[int]()


@memoize(results)
def square(x: int) -> int:
    """Return the square."""
    return x * x


@memoize(results)
async def double(x: int) -> int:
    return x + x


class Model:
    """Something with methods."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    @memoize(results)
    def scaled(self, x: int) -> int:
        return self.factor * x

    @memoize(results, ignore=["self"])
    def plain(self, x: int) -> int:
        return x

    @classmethod
    @memoize(results)
    def made(cls, x: int) -> int:
        return x

    @staticmethod
    @memoize(results)
    def static(x: int) -> int:
        return x


def undecorated(x: int) -> int:
    return x


by_hand = memoize(results)(undecorated)

"""asyncio: the verbs of a dictionary, awaited; many tasks share it, and results are computed once.

The tasks look for digits in the images that scikit-learn ships.
"""

import asyncio
import tempfile

from sklearn.datasets import load_digits

from perkey import FileDirDict, memoize
from perkey.aio import AsyncDict

DIGITS = load_digits()


async def main() -> None:
    """Let many tasks count, and wait for one result together."""
    with tempfile.TemporaryDirectory() as folder:
        results = FileDirDict(folder, file_type="json", durability="none")
        async with AsyncDict(results) as d:

            async def note(label: int) -> None:
                # Atomic, so that no count is lost. The loop goes on while the file is written.
                await d.transform_item(("seen", f"digit-{label}"), lambda count: count + 1, default=0)

            await asyncio.gather(*(note(int(label)) for label in DIGITS.target[:200]))
            seen = {key[-1]: count async for key, count in d.get_subdict("seen").items()}
            print(sum(seen.values()), "of 200 images counted;", *min(seen.items()))

        @memoize(results, name="ink")
        async def ink(label: int) -> float:
            print(f"  computing the ink of {label}")
            await asyncio.sleep(0)  # in place of another service
            return round(float(DIGITS.images[DIGITS.target == label].mean()), 3)

        # Ten readers want the same result: one task computes it, the other readers wait for it.
        print("ink of 1:", set(await asyncio.gather(*(ink(1) for _ in range(10)))))
        print("ink of 0:", await ink(0), "and again:", await ink(0))


if __name__ == "__main__":
    asyncio.run(main())

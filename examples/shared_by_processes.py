"""Several processes count the words of a text into one dictionary, and not one is lost."""

import multiprocessing
import re
import tempfile
from collections import Counter
from typing import Any

from perkey import ITEM_NOT_AVAILABLE, FileDirDict, PersiDict, quote, unquote

TEXT = """
Four score and seven years ago our fathers brought forth on this continent, a new nation, conceived in
Liberty, and dedicated to the proposition that all men are created equal. Now we are engaged in a great
civil war, testing whether that nation, or any nation so conceived and so dedicated, can long endure. We are
met on a great battle-field of that war. We have come to dedicate a portion of that field, as a final
resting place for those who here gave their lives that that nation might live. It is altogether fitting and
proper that we should do this. But, in a larger sense, we can not dedicate - we can not consecrate - we can
not hallow - this ground. The brave men, living and dead, who struggled here, have consecrated it, far above
our poor power to add or detract. The world will little note, nor long remember what we say here, but it can
never forget what they did here.
"""
PROCESSES = 4


def add_one(count: Any) -> int:
    """Return the next count; a new word has no count yet."""
    return 1 if count is ITEM_NOT_AVAILABLE else count + 1


def count_words(counts: PersiDict[int], words: list[str]) -> None:
    """Count words; other processes count the same words at the same time."""
    for word in words:
        # `counts[word] += 1` would read, add and write: between the three, another process's count is lost.
        counts.transform_item(quote(word), transformer=add_one)


def main() -> None:
    """Let the processes count, and compare with a count in memory."""
    words = re.findall(r"\w+", TEXT.lower())
    with tempfile.TemporaryDirectory() as folder:
        # The count can be had again from the text, so it need not survive a power failure.
        counts = FileDirDict[int](folder, file_type="json", durability="none")
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(target=count_words, args=(counts, words[number::PROCESSES]))
            for number in range(PROCESSES)
        ]
        for process in processes:
            process.start()  # the dictionary itself is the argument: handles can be pickled
        for process in processes:
            process.join()

        found = Counter({unquote(key): count for key, count in counts.items()})
        print(f"{PROCESSES} processes counted {found.total()} of {len(words)} words")
        print("most frequent:", ", ".join(f"{word} ({n})" for word, n in sorted(found.most_common(3))))
        print("same as in memory:", found == Counter(words))


if __name__ == "__main__":
    main()

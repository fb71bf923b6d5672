"""Several processes count the words of a text into one dictionary, and no count is lost.

The text is the Zen of Python, which every Python has.
"""

import codecs
import contextlib
import io
import multiprocessing
import re
import tempfile
from collections import Counter

from perkey import FileDirDict, PersiDict

PROCESSES = 4


def words_of_the_text() -> list[str]:
    """Return the words of the Zen of Python; the module prints the text when it is imported."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this  # noqa: PLC0415
    return re.findall("[a-z]+", codecs.decode(this.s, "rot13").lower())


def count_words(counts: PersiDict[int], words: list[str]) -> None:
    """Count words; other processes count the same words at the same time."""
    for word in words:
        # `counts[word] += 1` would read, add and write: between the three, another process's count is lost.
        counts.transform_item(word, lambda count: count + 1, default=0)


def main() -> None:
    """Let the processes count, and compare with a count in memory."""
    words = words_of_the_text()
    with tempfile.TemporaryDirectory() as folder:
        # The text can be counted again, so the counts need not survive a power failure.
        counts = FileDirDict[int](folder, file_type="json", durability="none")
        context = multiprocessing.get_context("spawn")
        processes = [
            # The dictionary itself is the argument: handles can be pickled.
            context.Process(target=count_words, args=(counts, words[number::PROCESSES]))
            for number in range(PROCESSES)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()

        found = Counter({word: count for (word,), count in counts.items()})
        print(f"{PROCESSES} processes counted {found.total()} of {len(words)} words")
        for word, count in sorted(found.most_common(5), key=lambda pair: (-pair[1], pair[0])):
            print(f"{count:>3}  {word}")
        print("same as in memory:", found == Counter(words))


if __name__ == "__main__":
    main()

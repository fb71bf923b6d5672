"""LocalDict and EmptyDict: the same interface in memory, and nowhere, for tests and for switching off."""

from perkey import EmptyDict, LocalDict, PersiDict


def square(number: int, known: PersiDict[int]) -> int:
    """Return the square of a number, from the dictionary if it is there; it does not matter which one."""
    key = str(number)
    if key not in known:
        print(f"  computing the square of {number}")
        known[key] = number * number
    return known[key] if key in known else number * number


def main() -> None:
    """Use a function with a memory, and with none."""
    print("with a LocalDict:")
    memory = LocalDict[int]()
    print(square(7, memory), square(7, memory))
    print("with an EmptyDict:")
    print(square(7, EmptyDict[int]()), square(7, EmptyDict[int]()))

    # A LocalDict keeps values as a folder would, encoded: changing an object later does not change them.
    numbers = [1, 2]
    kept = LocalDict[list[int]]()
    kept["numbers"] = numbers
    numbers.append(3)
    print("kept:", kept["numbers"])

    # An EmptyDict checks its arguments, so that switching storage off does not hide mistakes.
    try:
        EmptyDict[int]()["not a safe key!"] = 1
    except ValueError as error:
        print("refused:", error)


if __name__ == "__main__":
    main()

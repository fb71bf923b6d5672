"""Formats of your own: tables as CSV, and values that carry a signature."""

import csv
import io
import secrets
import tempfile
from pathlib import Path
from typing import Any

from perkey import CorruptValueError, FileDirDict, UnstorableValueError, register_format
from perkey.content import Content, Data, read_all
from perkey.formats import Format, JsonFormat, SignedFormat


class CsvFormat(Format):
    """Stores a list of rows as CSV, for people with a spreadsheet."""

    value_class = list

    def encode(self, value: Any) -> Data:
        """Return the rows as CSV; only text comes back as it was, so nothing else is taken."""
        if not all(isinstance(cell, str) for row in value for cell in row):
            raise UnstorableValueError("the cells of a table must be strings")
        text = io.StringIO()
        csv.writer(text).writerows(value)
        return text.getvalue().encode()

    def decode(self, content: Content) -> list[list[str]]:
        """Return the rows."""
        try:
            text = read_all(content).decode()
            return list(csv.reader(io.StringIO(text, newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise CorruptValueError(f"not CSV: {error}") from error


def show_csv(folder: Path) -> None:
    """Store a table under a name of file that other programs know."""
    register_format("csv", CsvFormat())
    tables = FileDirDict[list[list[str]]](folder, file_type="csv", digest_len=0)
    tables["prices"] = [["fruit", "price"], ["apple", "0.50"], ['"exotic", rare', "9.00"]]
    print((folder / "prices.csv").read_text().splitlines())
    print(tables["prices"][2])
    try:
        tables["prices"] = [["fruit", 0.5]]  # type: ignore[list-item] # to show the error
    except UnstorableValueError as error:
        print("refused:", str(error).replace(str(folder), "..."))


def show_signed(folder: Path) -> None:
    """Store values that cannot be forged without the secret."""
    register_format("signed", SignedFormat(JsonFormat(), secret=secrets.token_bytes(32)))
    orders = FileDirDict[dict[str, Any]](folder, file_type="signed", digest_len=0)
    orders["order-1"] = {"to": "alex", "amount": 100}
    print(orders["order-1"])

    path = folder / "order-1.signed"
    path.write_bytes(path.read_bytes().replace(b"100", b"999"))
    try:
        print(orders["order-1"])
    except CorruptValueError as error:
        print("refused:", str(error).replace(str(folder), "..."))


def main() -> None:
    """Show both."""
    with tempfile.TemporaryDirectory() as folder:
        show_csv(Path(folder))
        show_signed(Path(folder))


if __name__ == "__main__":
    main()

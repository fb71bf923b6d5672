"""A format of your own: tables as CSV files, which people open with a spreadsheet.

The rows are of the table of wines that scikit-learn ships.
"""

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

from sklearn.datasets import load_wine

from perkey import CorruptValueError, FileDirDict, UnstorableValueError, register_format, verify
from perkey.content import Content, Data, read_all
from perkey.formats import Format


class CsvFormat(Format):
    """Stores a list of rows of strings as CSV."""

    def encode(self, value: Any) -> Data:
        """Return the rows as CSV; only text comes back as it was."""
        if not all(isinstance(cell, str) for row in value for cell in row):
            raise UnstorableValueError("the cells of a table must be strings")
        text = io.StringIO()
        csv.writer(text).writerows(value)
        return text.getvalue().encode()

    def decode(self, content: Content) -> list[list[str]]:
        """Return the rows."""
        try:
            return list(csv.reader(io.StringIO(read_all(content).decode(), newline=""), strict=True))
        except (UnicodeDecodeError, csv.Error) as error:
            raise CorruptValueError(f"not CSV: {error}") from error


def main() -> None:
    """Store a table of each kind of wine, and meet the errors."""
    wine = load_wine()
    register_format("csv", CsvFormat())
    with tempfile.TemporaryDirectory() as folder:
        tables = FileDirDict[list[list[Any]]](folder, file_type="csv", digest_len=0)
        for number, kind in enumerate(wine.target_names):
            rows = wine.data[wine.target == number][:3, :4]
            tables[str(kind)] = [wine.feature_names[:4], *([f"{cell:g}" for cell in row] for row in rows)]
        print(Path(folder, "class_0.csv").read_text())
        print(sorted(path.name for path in Path(folder).iterdir()), tables["class_1"][1])
        try:
            tables["class_3"] = [["alcohol"], [14.2]]
        except UnstorableValueError as error:
            print("refused:", str(error).replace(folder, "..."))
        Path(folder, "class_2.csv").write_text('alcohol,"hue')
        print("damaged:", *(fault.key for fault in verify(tables, decode=True).faults))


if __name__ == "__main__":
    main()

"""How to cite this software, and signac, whose design its data spaces follow."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

import perkey

_BIBTEX: Final = """\
@software{{perkey,
  title = {{perkey: persistent dictionaries, one file per key}},
  author = {{{{The perkey developers}}}},
  version = {{{version}}}
}}

@article{{signac_commat,
  title = {{signac -- A simple data management framework}},
  author = {{Carl S. Adorf and Paul M. Dodd and Vyas Ramasubramani and Sharon C. Glotzer}},
  journal = {{Comput. Mater. Sci.}},
  volume = {{146}},
  number = {{C}},
  year = {{2018}},
  pages = {{220-229}},
  doi = {{10.1016/j.commatsci.2018.01.035}}
}}

@inproceedings{{signac_scipy_2018,
  title = {{signac: A Python framework for data and workflow management}},
  author = {{Vyas Ramasubramani and Carl S. Adorf and Paul M. Dodd and Bradley D. Dice and
    Sharon C. Glotzer}},
  booktitle = {{Proceedings of the 17th Python in Science Conference}},
  year = {{2018}},
  pages = {{152-159}},
  doi = {{10.25080/Majora-4af1f417-016}}
}}
"""

_REFERENCE: Final = """\
[1] The perkey developers. perkey: persistent dictionaries, one file per key. Version {version}.
[2] C. S. Adorf, P. M. Dodd, V. Ramasubramani, and S. C. Glotzer. signac - A simple data management \
framework. Comput. Mater. Sci., 146(C):220-229, 2018. DOI:10.1016/j.commatsci.2018.01.035.
[3] V. Ramasubramani, C. S. Adorf, P. M. Dodd, B. D. Dice, and S. C. Glotzer. signac: A Python framework \
for data and workflow management. In Proceedings of the 17th Python in Science Conference, pages 152-159, \
2018. DOI:10.25080/Majora-4af1f417-016.
"""


def bibtex(file: str | os.PathLike[str] | TextIO | None = None) -> None:
    """Write the entries for a BibTeX database: perkey, and signac for the design of data spaces.

    Args:
        file: A path, or something to write text to; by default the standard output.
    """
    _write(_BIBTEX.format(version=perkey.__version__), file)


def reference(file: str | os.PathLike[str] | TextIO | None = None) -> None:
    """Write formatted references; as `bibtex`."""
    _write(_REFERENCE.format(version=perkey.__version__), file)


def _write(text: str, file: str | os.PathLike[str] | TextIO | None) -> None:
    if isinstance(file, str | os.PathLike):
        with open(file, "w", encoding="utf-8") as target:
            target.write(text)
    else:
        (file or sys.stdout).write(text)

"""Charts as SVG: lines, points, histograms, bars and parallel coordinates.

The functions take numbers and return one ``<svg>`` element for an HTML page. It has a title and a description
for screen readers, no scripts and no inline styles, so it works under a strict content security policy. Each
text is escaped, and its hidden characters are made visible. The number of points in the markup is bounded;
the description gives the number of points that are drawn and the number of values that are left out.

Colours are presentation attributes, which a style sheet may override by the classes ``chart-0`` to
``chart-7``. Groups also differ in the shape of their points.
"""

from perkey.viewer.charts.axes import Axis
from perkey.viewer.charts.bars import bars, histogram
from perkey.viewer.charts.parallels import Strand, parallel
from perkey.viewer.charts.planes import Series, line, scatter

__all__ = ["Axis", "Series", "Strand", "bars", "histogram", "line", "parallel", "scatter"]

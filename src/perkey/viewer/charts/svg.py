"""Markup of charts: elements, texts, and the frame of a chart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from markupsafe import Markup, escape

from perkey.viewer.text import shortened, visible

# By Okabe and Ito, for all kinds of colour vision; darker where the original is faint on white.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#b0578f", "#b87f00", "#2f93cf", "#6b6b6b", "#857800")

WIDTH_OF_CHARACTER: Final = 6.6
"""About how wide a character is at the size of text in a chart."""

LONGEST_LABEL: Final = 24


def number(value: float) -> str:
    """Return a coordinate: a tenth of a pixel is enough.

    >>> number(3.0), number(2.345)
    ('3', '2.3')
    """
    return f"{value:.1f}".removesuffix(".0")


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Return an element; an underscore in the name of an attribute stands for a hyphen.

    >>> element("text", "a < b", text_anchor="end")
    Markup('<text text-anchor="end">a &lt; b</text>')
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    content = "".join(child if isinstance(child, Markup) else text(str(child)) for child in children)
    return Markup(f"<{name}{written}>{content}</{name}>")  # noqa: S704 - escaped above


def join(parts: Iterable[Markup]) -> Markup:
    """Return elements one after the other."""
    return Markup("").join(parts)


def text(value: str) -> Markup:
    """Return a text, escaped, with its hidden characters made visible."""
    return escape(visible(value))


def label(value: str) -> str:
    """Return a text that fits beside an axis or into a legend."""
    return shortened(" ".join(visible(value).split()), LONGEST_LABEL)


def width_of(value: str) -> float:
    """Return about how wide a text is."""
    return len(value) * WIDTH_OF_CHARACTER


def colour(index: int) -> str:
    """Return the colour of a group."""
    return PALETTE[index % len(PALETTE)]


def css_class(index: int) -> str:
    """Return the class of a group, by which a style sheet may give it another colour."""
    return f"chart-{index % len(PALETTE)}"


def chart(title: str, description: Sequence[str], size: tuple[float, float], *parts: Markup) -> Markup:
    """Return the whole element.

    Args:
        title: The name, shown and read.
        description: Sentences, read only.
        size: Width and height.
        *parts: What is drawn.
    """
    width, height = number(size[0]), number(size[1])
    return element(
        "svg",
        element("title", title),
        element("desc", " ".join(description)),
        element(
            "text",
            label_of_title(title, size[0]),
            x=number(8),
            y=number(18),
            class_="chart-title",
            font_size=14,
            font_weight=600,
        ),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        role="img",
        class_="chart",
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        font_family="system-ui, sans-serif",
        font_size=12,
        fill="currentColor",
    )


def label_of_title(title: str, width: float) -> str:
    """Return as much of a title as fits."""
    return shortened(" ".join(visible(title).split()), max(10, int(width / 8)))


def marker(shape: int, x: float, y: float, **attributes: object) -> tuple[str, dict[str, object]]:
    """Return name and attributes of the point of a group: circle, square, triangle, diamond, and so on."""
    kind = shape % len(_PATHS)
    if not kind:
        return "circle", {"cx": number(x), "cy": number(y), "r": 3.5, **attributes}
    return "path", {"d": f"M{number(x)} {number(y)}{_PATHS[kind]}", **attributes}


_PATHS: Final = (
    "",
    "m-3.2 -3.2h6.4v6.4h-6.4z",
    "m0 -4.4l4.2 7.6h-8.4z",
    "m0 -4.6l4.6 4.6l-4.6 4.6l-4.6 -4.6z",
    "m0 4.4l4.2 -7.6h-8.4z",
    "m-1.3 -4.2h2.6v2.9h2.9v2.6h-2.9v2.9h-2.6v-2.9h-2.9v-2.6h2.9z",
    "m-4.6 -1.8h9.2v3.6h-9.2z",
    "m-1.8 -4.6h3.6v9.2h-3.6z",
)


def plural(count: int, one: str, many: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {one if count == 1 else many}"


def _attribute(value: object) -> Markup:
    return escape(
        visible(
            value if isinstance(value, str) else number(value) if isinstance(value, float) else str(value)
        )
    )

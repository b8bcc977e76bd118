"""SVG: matplotlib figures as inline SVG that takes its colours and type from the page, the same bytes on every run.

A figure is drawn with stand-in colours, which become CSS variables (``--jepa`` …) and ``currentColor``: one drawing serves
light and dark. Text stays text and takes the page's typeface. Ids that nothing refers to are dropped and the others get a
prefix of the figure's own, since several figures share one page; styles become classes that all figures share. Nothing is
written that a reader does not see (patches without colour, clips of what fits, tick marks under grid lines): hundreds of
figures then stay within what a phone loads quickly. No XML header, name spaces or metadata: none is needed inside HTML.
"""

from __future__ import annotations

import hashlib
import io
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# Family → (colour of a light page, marker): told apart by shape too. The page redefines the colours for a dark one.
FAMILIES = {
    "jepa": ("#1f6fb4", "o"), "mae": ("#b85c00", "s"), "contrastive": ("#2b7d4f", "^"),
    "supervised": ("#8a4fb0", "D"), "reference": ("#6b6b6b", "X"),
}  # fmt: skip
SIGNS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "X": "✖", "P": "✚"}  # the markers in words of the legend
OTHER = ("#a03a5a", "P")
INK, GRID = "#010203", "#c8c9ca"  # stand-ins for the colour of text and of grid lines
_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
_COLOURS = {INK: "currentColor", GRID: "var(--grid)", OTHER[0]: "var(--other)"} | {
    colour: f"var(--{family})" for family, (colour, _) in FAMILIES.items()
}
_STYLE: Any = {
    "svg.fonttype": "none", "text.parse_math": False, "font.family": "DejaVu Sans", "font.size": 9.0,
    "text.color": INK, "axes.edgecolor": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK,
    "axes.facecolor": "none", "figure.facecolor": "none", "savefig.facecolor": "none", "legend.frameon": False,
    "axes.spines.top": False, "axes.spines.right": False, "axes.linewidth": 0.6, "axes.grid": True,
    "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.5, "lines.linewidth": 1.4,
    "axes.titlesize": 9.0, "axes.titlelocation": "left", "path.simplify": False, "axes.unicode_minus": True,
    "xtick.major.size": 0, "ytick.major.size": 0, "xtick.minor.size": 0, "ytick.minor.size": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One figure of the page: inline SVG, the caption beside it, the words that stand for it (``alt``), and the rules of
    the style classes that it uses."""

    svg: Markup
    caption: str
    alt: str
    rules: Mapping[str, str] = field(default_factory=dict)


def family(name: str) -> tuple[str, str]:
    """Colour and marker of a family."""
    return FAMILIES.get(name, OTHER)


def plain(text: str, width: int = 28) -> str:
    """Text that can stand in an SVG: no control characters, no longer than ``width``."""
    seen = "".join("\ufffd" if unicodedata.category(sign) in ("Cc", "Cs", "Cn") else sign for sign in str(text))
    return seen if len(seen) <= width else f"{seen[: width - 1]}…"


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's defaults and ours, whatever the person's own settings are; put back afterwards."""
    with rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def draw(
    name: str, size: tuple[float, float], paint: Callable[[Axes], None], caption: str, alt: str, *, rows: int = 1,
    margins: tuple[float, float, float] | None = None,
) -> Drawing:  # fmt: skip
    """``paint`` on axes of ``size`` (width, height in inches), as inline SVG whose ids begin with ``name``.

    ``rows``: axes one below the other; ``paint`` is then handed the first and finds the others in its figure. ``margins``
    in inches (left, bottom, top): of small panels, all alike; None: as the labels need.
    """
    with style():
        matplotlib.rcParams["svg.hashsalt"] = name
        figure = Figure(figsize=size, layout=None if margins else "constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
        if margins is not None:
            left, bottom, top = margins
            figure.subplots_adjust(left / size[0], bottom / size[1], 1 - 0.06 / size[0], 1 - top / size[1], hspace=0.18)
        paint(axes[0])
        for one in axes:
            one.patch.set_visible(False)
        figure.patch.set_visible(False)
        for artist in figure.findobj():
            artist.set_clip_on(False)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    markup, rules = inline(out.getvalue(), name, plain(caption, 400), plain(alt, 4000))
    return Drawing(Markup(markup), caption, alt, rules)


def inline(content: bytes, name: str, title: str, alt: str) -> tuple[str, dict[str, str]]:
    """An SVG document as an element of a page, and the style classes that it uses: see the module's first lines. ``name``:
    of the figure, unique on the page; ``title`` and ``alt`` are escaped here."""
    prefix = "f" + hashlib.sha256(name.encode()).hexdigest()[:8]
    rules: dict[str, str] = {}
    root = ElementTree.fromstring(content)
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag not in _KEPT:  # metadata, comments
                parent.remove(child)
    used = set(re.findall(r"(?:url\(#|href=\")#?([\w-]+)", content.decode()))
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        for key, value in list(element.attrib.items()):
            element.attrib.pop(key)
            if key == "id" and value not in used:
                continue
            element.attrib[key.removeprefix(_XLINK)] = _value(key, value, prefix)
        if element.attrib.get("transform", "").startswith("rotate(0 "):
            element.attrib.pop("transform")
        if style := element.attrib.pop("style", None):
            rule = "s" + hashlib.sha256(style.encode()).hexdigest()[:6]
            rules[rule] = style
            element.attrib["class"] = rule
    _flatten(root)
    for key in ("version", "width", "height"):
        root.attrib.pop(key, None)
    box = [float(part) for part in root.attrib["viewBox"].split()]
    # Drawn in points; shown at its own size where there is room.
    root.attrib |= {"role": "img", "aria-labelledby": f"{prefix}-t {prefix}-d", "style": f"width:{box[2] / 72:.2f}in"}
    for place, (tag, text) in enumerate((("title", title), ("desc", alt))):
        element = ElementTree.Element(tag, {"id": f"{prefix}-{tag[0]}"})
        element.text = text
        root.insert(place, element)
    # The shortest of the ways to close an element; what is text has its > escaped.
    return ElementTree.tostring(root, encoding="unicode").replace(" />", "/>"), rules


# The page's own style sheet says how lines are joined: matplotlib's <style> would hold for the whole page.
_KEPT = {_SVG + tag for tag in ("svg", "defs", "g", "path", "use", "text", "tspan", "clipPath", "rect", "image")}


def _value(key: str, value: str, prefix: str) -> str:
    """An attribute with own ids, short numbers and the page's colours."""
    if key == "id":
        return f"{prefix}-{value}"
    if key == f"{_XLINK}href":
        return value.replace("#", f"#{prefix}-", 1)
    value = " ".join(value.replace("url(#", f"url(#{prefix}-").split())
    if key in ("d", "transform", "x", "y", "points"):
        value = re.sub(r"-?\d+(\.\d+)?", _short, value)
    if key == "d":
        value = re.sub(r" ?([A-Za-z]) ?", r"\1", value)
    if key == "style":
        for colour, word in _COLOURS.items():
            value = value.replace(colour, word)
        value = re.sub(r"font: ([\d.]+)px [^;]*", r"font-size: \1px", value)
        value = re.sub(r" ?font-family:[^;]*;?|text-anchor: ?start;?", "", value)
        value = re.sub(r"([;:]) ", r"\1", value)
    return value


def _short(number: re.Match[str]) -> str:
    """A number of points to a tenth, which is less than can be seen."""
    return f"{round(float(number[0]), 1) + 0.0:.1f}".removesuffix(".0")  # + 0.0: no negative zero


def _flatten(element: ElementTree.Element) -> None:
    """Groups that say nothing are replaced by what they hold, and empty definitions go."""
    for child in list(element):
        _flatten(child)
    children = list(element)
    for place, child in reversed(list(enumerate(children))):
        if (child.tag == "g" and not child.attrib) or (child.tag == "defs" and not len(child)):
            element[place : place + 1] = list(child)
    for child in (element, *element):
        child.tail = None
        if child.tag not in ("text", "tspan", "title", "desc", "style"):
            child.text = None

"""What is asked of every page in a browser: names of controls, the Tab key, contrast, width; faults in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHROMIUM = Path("/usr/bin/chromium")
WIDTHS = (1280, 390)  # pixels: a desk, a telephone
SCHEMES = ("light", "dark")

_FAULTS = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")

_REACHABLE = """
() => [...document.querySelectorAll("button, input, select, a[href], summary, [tabindex='0']")].filter((element) =>
  element.checkVisibility({ checkVisibilityCSS: true }) && element.getClientRects().length > 0
  && element.tabIndex >= 0 && !element.disabled).length
"""

_AT = """
() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  window.reached ??= new Set();
  const again = window.reached.has(at);
  window.reached.add(at);
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(at);
  const marked = (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
  return { again, marked, told: at.outerHTML.slice(0, 120) };
}
"""


def faults(tab: Any, within: str = "body") -> list[str]:
    """What is wrong with a page as it is now: it overflows, a control or picture has no name, text is too faint.

    Args:
        within: a selector of what is looked at, the width of the page aside.
    """
    found: list[str] = tab.evaluate(_FAULTS, within)
    return found


def not_reached(tab: Any, most: int = 400) -> list[str]:
    """What the Tab key does not reach, or reaches without a mark that shows where it is."""
    wanted: int = tab.evaluate(_REACHABLE)
    tab.evaluate("() => { document.activeElement?.blur(); window.reached = new Set(); window.scrollTo(0, 0); }")
    found: list[str] = []
    for _ in range(min(wanted, most)):
        tab.keyboard.press("Tab")
        at = tab.evaluate(_AT)
        if at is None:
            break
        if not at["marked"]:
            found.append(f"no mark of the focus: {at['told']}")
    reached: int = tab.evaluate("window.reached.size")
    if reached < min(wanted, most):
        found.append(f"the Tab key reaches {reached} of {wanted}")
    return found

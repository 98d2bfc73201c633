"""Which colour means what? The only colours in the repository.

One colour means one thing in every panel. The networks, "seen", the selection and the blind spots are from Okabe and
Ito's colour-blind-safe set; the maps are viridis and cividis (matplotlib, CC0) and red-blue diverging maps
whose middle is a grey that stays visible on the scene's background. Heat lies on the images, which are black in both
themes, so its map has a dark middle and bright ends.
"""

from __future__ import annotations

from typing import Final

Stops = tuple[str, ...]

VIRIDIS: Final[Stops] = (
    "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725",
)  # fmt: skip
CIVIDIS: Final[Stops] = (
    "#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838",
)  # fmt: skip
HEAT: Final[Stops] = ("#7cc4ff", "#3d9bf0", "#1f5f9e", "#26292e", "#9c3d22", "#f0703d", "#ffb48c")

# The end of a map that melts into the background is cut off: pale yellow on a light page, near-black on a dark one.
LIGHT: Final[dict[str, str]] = {
    "page": "#f5f6f8",
    "panel": "#ffffff",
    "inset": "#f5f6f8",
    "scene": "#f1f3f6",
    "border": "#e2e5ea",
    "border-strong": "#c5cad3",
    "text": "#1c2430",
    "muted": "#5f6b7c",
    "faint": "#8a94a3",
    "accent": "#1f5fbf",
    "accent-soft": "#e6eefb",
    "on-accent": "#ffffff",
    "teacher": "#b86e00",
    "distilled": "#0072b2",
    "plain": "#727b88",
    "control": "#7b5ea7",
    "own": "#5d7a1f",
    "seen": "#009e73",
    "hidden": "#a7afbb",
    "selection": "#c2257b",
    "blind": "#d55e00",
    "warning-soft": "#fdf3e1",
    "warning-text": "#7a4a00",
    "error-soft": "#fdeae7",
    "error-text": "#8f2313",
    "rig": "#bfc7d2",
    "shadow": "rgba(20, 30, 50, 0.10)",
    "veil": "rgba(245, 246, 248, 0.94)",
    "image": "#000000",
    "on-image": "#f2f4f7",
    "image-scrim": "rgba(0, 0, 0, 0.72)",
    "image-dim": "#565d68",
}
DARK: Final[dict[str, str]] = {
    "page": "#0f1319",
    "panel": "#171c24",
    "inset": "#10151c",
    "scene": "#0d1117",
    "border": "#2a313c",
    "border-strong": "#434c5a",
    "text": "#e4e8ee",
    "muted": "#9aa5b4",
    "faint": "#707b8b",
    "accent": "#6ea8fe",
    "accent-soft": "#1c2b44",
    "on-accent": "#0d1117",
    "teacher": "#e9a23b",
    "distilled": "#56b4e9",
    "plain": "#a3adba",
    "control": "#b79ae0",
    "own": "#a9c35c",
    "seen": "#2fc79a",
    "hidden": "#5a6472",
    "selection": "#f06bb2",
    "blind": "#ff8c42",
    "warning-soft": "#33270f",
    "warning-text": "#f0c987",
    "error-soft": "#3a1a16",
    "error-text": "#f5b3a8",
    "rig": "#434d5b",
    "shadow": "rgba(0, 0, 0, 0.45)",
    "veil": "rgba(15, 19, 25, 0.94)",
    "image": "#000000",
    "on-image": "#f2f4f7",
    "image-scrim": "rgba(0, 0, 0, 0.72)",
    "image-dim": "#565d68",
}
MAPS: Final[dict[str, dict[str, Stops]]] = {
    "light": {
        "sequential": VIRIDIS[:9],
        "height": CIVIDIS[:9],
        "heat": HEAT,
        "similarity": VIRIDIS,
        "diverging": ("#2166ac", "#4f8fc4", "#8db4d6", "#c3c8cf", "#dd9a8a", "#cc5a53", "#b2182b"),
    },
    "dark": {
        "sequential": VIRIDIS[1:],
        "height": CIVIDIS[1:],
        "heat": HEAT,
        "similarity": VIRIDIS,
        "diverging": ("#66b3ff", "#4f8ac4", "#45658a", "#4d545f", "#8f5650", "#cf6a5e", "#ff8a78"),
    },
}
# How strongly a point that the current colouring leaves out is drawn: enough to keep the shape in sight.
DIMMED_OPACITY: Final = {"light": 0.30, "dark": 0.34}


def css_variables() -> str:
    """Return the colours as CSS custom properties `--pmv-*`, for both of Gradio's themes."""

    def block(selector: str, colors: dict[str, str]) -> str:
        lines = "".join(f"  --pmv-{name}: {value};\n" for name, value in colors.items())
        return f"{selector} {{\n{lines}}}\n"

    return block(".pmv", LIGHT) + block(".dark .pmv", DARK)


def script_constants() -> dict[str, object]:
    """Return the colours that scripts draw with: `{"light" | "dark": {"colors", "maps", "dimmed"}}`."""
    constants: dict[str, object] = {}
    for name, colors in (("light", LIGHT), ("dark", DARK)):
        maps = {key: list(stops) for key, stops in MAPS[name].items()}
        constants[name] = {"colors": colors, "maps": maps, "dimmed": DIMMED_OPACITY[name]}
    return constants

"""What every page stands in: the head with its four links, the theme, the style."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from deepfixcx._optional import require

require("nicegui", extra="studio")

from nicegui import ui

from deepfixcx.studio.elements import STATIC, block, put, words

__all__ = ["PAGES", "build_frame", "style"]

PAGES = {"/": "Explore", "/explain": "Explain", "/release": "Release", "/audit": "Audit"}

THEME = """() => {
    const dark = !document.body.classList.contains('body--dark');
    document.body.classList.toggle('body--dark', dark);
    document.body.classList.toggle('body--light', !dark);
}"""


@lru_cache(maxsize=1)
def style() -> str:
    """Return the style of all pages."""
    return (STATIC / "studio.css").read_text("utf-8")


def build_frame() -> None:
    """Make the head of a page, above what the framework calls the page."""
    ui.add_head_html(f"<style>{style()}</style>")
    layout = ui.context.client.layout
    with layout:
        skip = words("Skip to the content", "a", "skip", href="#main")
        with block("header", "head") as head:
            with block("a", "brand", href="/", aria_label="deepfixcx studio, to Explore"):
                words("deepfixcx", "span", "brand-name")
                words("studio", "span", "brand-part")
            with block("nav", "pages", aria_label="Pages"):
                links = {path: words(name, "a", href=path) for path, name in PAGES.items()}
            theme = words("Light or dark", "button", "quiet theme", type_="button")
            theme.on("click", js_handler=THEME)
    skip.move(layout, 0)
    head.move(layout, 1)

    def mark(place: str) -> None:
        for path, link in links.items():
            put(link, aria_current="page" if path == urlsplit(place).path else None)

    router = ui.context.client.sub_pages_router
    router.on_path_changed(mark)
    mark(router.current_path)

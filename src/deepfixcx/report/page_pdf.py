"""The same report on paper: HTML becomes PDF with WeasyPrint (extra ``pdf``).

WeasyPrint is maintained, BSD-licensed and asks nothing of the network here. It needs the libraries
of Pango, which Linux distributions have; no browser is started.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.resources import files

from deepfixcx._optional import require
from deepfixcx.errors import MissingExtraError

__all__ = ["pdf_of"]

VARIABLE = re.compile(r"var\((--[a-z]+)\)")
DEFINITION = re.compile(r"(--[a-z]+):\s*(#[0-9a-f]{6})")


def pdf_of(page: str) -> bytes:
    """Lay a report out on pages of A4.

    Parameters
    ----------
    page : str
        Of `release_page`.

    Returns
    -------
    bytes
        A PDF; the same page gives the same bytes.

    Raises
    ------
    MissingExtraError
        WeasyPrint, or the library Pango, is not installed.
    """
    try:
        weasyprint = require("weasyprint", extra="pdf")
    except OSError:
        raise MissingExtraError(
            "PDF needs the library Pango, which is not installed; on Debian and Ubuntu run: "
            "apt-get install libpango-1.0-0 libpangoft2-1.0-0; or write .html and print it"
        ) from None
    # the page holds all it shows; whatever else it asked for would be an error of this package
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    document = weasyprint.HTML(string=_in_plain_colours(page), url_fetcher=fetcher)
    content: bytes = document.write_pdf(pdf_identifier=b"deepfixcx")
    return content


def _in_plain_colours(page: str) -> str:
    """Write colours out: figures name them by variables of the page, which paper does not know."""
    colours = _colours()
    return VARIABLE.sub(lambda found: colours.get(found[1], "#000000"), page)


@lru_cache(maxsize=1)
def _colours() -> dict[str, str]:
    """Return the colours of the light page."""
    style = (files("deepfixcx.report") / "report.css").read_text("utf-8")
    return dict(DEFINITION.findall(style.partition("@media")[0]))

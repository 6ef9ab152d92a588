"""Keep a number and its unit on one line: a space between them becomes a non-breaking space."""

from __future__ import annotations

import re
from typing import Any

UNITS = re.compile(
    r"(?<=\d) (?=(?:[%×]|[kMG]?B|dB|ms|s|mm|px|pixels|bytes|bits)(?![\w-]))|(?<=×) (?=\d)"
)
CODE = re.compile(r"(<pre.*?</pre>|<code.*?</code>|<[^>]*>)", re.DOTALL)


def on_page_content(html: str, **_: Any) -> str:
    """Return the page with non-breaking spaces before units, outside of code and tags."""
    parts = CODE.split(html)
    return "".join(
        part if n % 2 else UNITS.sub("\N{NO-BREAK SPACE}", part) for n, part in enumerate(parts)
    )

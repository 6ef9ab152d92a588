"""Dates moved by whole days, in the forms that DICOM writes them in."""

from __future__ import annotations

import re
from datetime import date, timedelta

__all__ = ["shifted"]

_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})|(\d{4})\.(\d{2})\.(\d{2})")
_MOMENT = re.compile(r"(\d{4})(\d{2})?(\d{2})?(\d{0,6}(?:\.\d{1,6})?(?:[+-]\d{4})?)")


def shifted(text: str, vr: str, days: int) -> str:
    """Move one date or moment; times of day stay.

    Parameters
    ----------
    text : str
        Value of a DICOM element.
    vr : str
        ``DA``, ``DT`` or ``TM``.
    days : int
        Whole days.

    Returns
    -------
    str
        The value of the same form and precision, or an empty string where it is no date.

    Examples
    --------
    >>> shifted("20040119", "DA", -7), shifted("20040119072731.5+0100", "DT", -19)
    ('20040112', '20031231072731.5+0100')
    >>> shifted("last spring", "DA", -7)
    ''
    """
    text = text.strip(" \0")
    if vr == "TM":
        return text if re.fullmatch(r"[\d:.]+", text) else ""
    found = (_DATE if vr == "DA" else _MOMENT).fullmatch(text)
    if found is None:
        return ""
    if vr == "DA":
        year, month, day = (found[n] or found[n + 3] for n in (1, 2, 3))
        rest = ""
    else:
        year, month, day, rest = found.groups()
    try:
        moved = date(int(year), int(month or 1), int(day or 1)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    # A value that ends with its year or month ends there again.
    digits = f"{moved:%m}" * bool(month) + f"{moved:%d}" * bool(day)
    return f"{moved.year:04}{digits}{rest}"

"""Cells of a CSV file that no spreadsheet runs as a formula.

Source: https://owasp.org/www-community/attacks/CSV_Injection
"""

from typing import Final

_RUN_BY_SPREADSHEETS: Final = ("=", "+", "-", "@", "\t", "\r")


def quoted(cell: str) -> str:
    """The cell, behind an apostrophe where a spreadsheet would run it, or take that one off."""
    return f"'{cell}" if cell.startswith((*_RUN_BY_SPREADSHEETS, "'")) else cell

"""Pages whose prose is theirs and whose figures are a command's: it refills what is between markers.

::

    <!-- table -->
    | LUT | MHz |
    <!-- /table -->
"""

import re

from systolic.errors import UserError

__all__ = ["refill"]


def refill(page, blocks):
    """A page with other text between its markers.

    Parameters
    ----------
    page : str
        Markdown.
    blocks : dict of str to str
        Text for each pair of markers. Where the markers stand on lines of their own, so does the text.

    Returns
    -------
    str

    Raises
    ------
    UserError
        If the page has no such pair of markers, or more than one.
    """
    for name, text in blocks.items():
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        # A block of no lines has one newline between its markers.
        pattern = re.compile(f"({begin})(\n?).*?\n?({end})", re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise UserError(f"the page must have one block {begin} ... {end}, not {len(pattern.findall(page))}")
        page = pattern.sub(lambda match, text=text: match[1] + match[2] + text.rstrip("\n") + match[2] + match[3], page)
    return page

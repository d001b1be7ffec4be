"""The grammar of RFC 4180, section 2, with the delimiter left open, as patterns over bytes.

Records end in LF, CRLF or the end of the file; a quoted cell may contain line breaks and doubled quotes; an unquoted
cell has no quote and no carriage return.
"""

import re

# Before Python 3.11.5 a possessive group that fails behind its first literals leaves the scan where it failed (CPython
# issue 106052), so none here can: each is entered by literals, and what follows them always matches.
_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
_END = rb"(?:\r\n|\n|\Z)"


class Grammar:
    """The patterns of one delimiter and one width, the number of cells of a record.

    A cell is taken whole or not at all, so a file cannot make the scan go back further than over its cells one by one:
    its time is linear in the size of the file.
    """

    def __init__(self, delimiter: bytes, width: int) -> None:
        sign = re.escape(delimiter)
        # A record of one blank cell would be a blank line, which is not a record.
        blank = b"" if width == 1 else b"?"
        plain = rb'[^"%b\r\n]++' % sign
        cell = rb"(?:%b|%b)%b" % (plain, _QUOTED, blank)
        self.delimiter = delimiter
        self.width = width
        self.records = re.compile(rb"(?:%b(?:%b%b){%d}\r?\n)+" % (cell, sign, cell, width - 1))
        self.exact = re.compile(rb"(%b(?:%b%b){%d})%b" % (cell, sign, cell, width - 1, _END))
        self.record = re.compile(rb"(%b(?:%b%b)*+)%b" % (cell, sign, cell, _END))
        self.cell = re.compile(rb"(?:%b|%b)?" % (plain, _QUOTED))
        self.quoted = re.compile(_QUOTED)


def split_cells(text: bytes, grammar: Grammar) -> list[bytes]:
    """Return the cells of one well-formed record, unquoted."""
    cells, position = [], 0
    while position <= len(text):
        match = grammar.cell.match(text, position)
        if match is None:  # pragma: no cover - the pattern matches an empty cell everywhere
            raise ValueError("not a well-formed record")
        cell = match.group()
        cells.append(cell[1:-1].replace(b'""', b'"') if cell.startswith(b'"') else cell)
        position = match.end() + 1
    return cells

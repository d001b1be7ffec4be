"""Which flags a file that is not UTF-8 is refused with: a line of it by each encoding that may be right."""

import re
from pathlib import Path

import pytest

from loader.errors import SourceRefused
from loader.landing.encoding import refuse_other_encoding

NARRATIVE = "what nobody else may read " * 10


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1251", "Лестница, пол был мокрый"),
        ("cp1252", "Café à côté, “naïve” Müller"),
        ("cp1250", "Łódź żółć gęślą jaźń"),
        ("cp1253", "Σκάλα γλίστρησε"),
        # In cp1252 some of its bytes have no meaning.
        ("mac-roman", "Façade à côté du château"),
    ],
)
def test_the_likeliest_encoding_comes_first_with_a_line_as_it_reads_it(encoding: str, text: str):
    data = f"ref,title\nZX-1,{text},{NARRATIVE}\n".encode(encoding)
    with pytest.raises(SourceRefused) as refused:
        refuse_other_encoding(Path("x.csv"), data, 2)
    offered = re.findall(r"--encoding (\S+) '(.*?)'(?:, --|; or)", str(refused.value))
    assert offered[0][0] == encoding
    assert text in offered[0][1]
    assert len(offered) > 1, "a person chooses"
    assert max(len(shown) for _, shown in offered) <= 60
    assert str(refused.value).count("\n") == 0
    assert "or --encoding utf-8" in str(refused.value)


def test_a_utf8_file_with_damaged_records_is_not_refused():
    refuse_other_encoding(Path("x.csv"), "ref\ncafé\n".encode() + b"caf\xe9\n", 3)

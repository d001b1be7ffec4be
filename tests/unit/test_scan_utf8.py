"""The scan of a file that is not UTF-8 throughout."""

from tests.unit.scanning import scanned


def test_in_a_file_that_is_not_utf8_each_damaged_record_is_named_and_no_other():
    """Characters of three bytes, so that wherever the decoding stops it cuts some; damage after short and long ways."""
    records = ["€" * (number % 401) + f",{number}" for number in range(600)]
    data = [record.encode() for record in records]
    damaged = {0, 1, 7, 8, 150, 151, 400, 599}
    for number in damaged:
        data[number] = data[number].replace(b",", b"\xe2\x82,")
    found = scanned(b"".join(record + b"\n" for record in data), 2, is_utf8=False, window=1 << 20)
    assert [record.text for record in found] == data
    assert {record.number - 1 for record in found if record.error == "not_utf8"} == damaged
    assert {record.error for record in found} == {None, "not_utf8"}

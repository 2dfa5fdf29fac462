"""Names as a terminal may show them."""

import pytest

from cmsa.files.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("näher [bold] 猫 🙂.png", "näher [bold] 猫 🙂.png"),
        ("a\x1b[2J\x07b", "a\\x1b[2J\\x07b"),
        ("line\nand\ttab\r", "line\\nand\\ttab\\r"),
        ("gnp.\u202etac", "gnp.\\u202etac"),
        ("wide\u3000space", "wide\u3000space"),
        ("caf\udce9", "caf\udce9"),
    ],
)
def test_what_a_terminal_would_obey_is_written_out(text, shown):
    assert visible(text) == shown


def test_lines_of_a_message_stay():
    assert visible("one\ntwo\x1b", keep="\n") == "one\ntwo\\x1b"

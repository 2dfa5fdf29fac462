"""A page stands alone, in HTML and in Markdown, whatever stands in names."""

from html.parser import HTMLParser

from cmsa.experiments.page import Figure, Section, Table, write_page


def test_a_page(tmp_path):
    svg = '<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>'
    table = Table(["a|b", "<b>"], [["1 & 2", "x|y"], ["3", "4"]], frozenset({1}), caption="What & <b>")
    folded = Table(["c"], [["5"]], summary="More & <b>")
    section = Section("One <i>", "Text & more.", [Figure("curve", 'what "it" shows', svg)], [table, folded])
    write_page("Title <&>", [section, Section("Empty")], tmp_path / "page.html")
    assert {path.name for path in tmp_path.iterdir()} == {"page.html", "page.md", "page-curve.svg"}
    told: list[str] = []
    parser = HTMLParser()
    parser.handle_data = lambda data: told.append(data.strip())
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    parser.feed(html)
    assert [text for text in told if text and "font:" not in text] == [
        "Title <&>", "Title <&>", "One <i>", "Text & more.", "What & <b>", "a|b", "<b>", "1 & 2", "x|y", "3", "4",
        "More & <b>", "c", "5", "Empty",
    ]  # fmt: skip
    assert html.count("<tr class=measured>") == 1
    assert html.count("<details>") == html.count("</details>") == 1
    assert "<?xml" not in html
    assert "src=" not in html
    assert "href=" not in html
    assert (tmp_path / "page.md").read_text(encoding="utf-8").splitlines() == [
        "# Title <&>",
        "",
        "## One <i>",
        "",
        "Text & more.",
        "",
        '![what "it" shows](page-curve.svg)',
        "",
        "What & <b>",
        "",
        "| a\\|b | <b> |",
        "| --- | --- |",
        "| 1 & 2 | x\\|y |",
        "| 3 | 4 |",
        "",
        "More & <b>",
        "",
        "| c |",
        "| --- |",
        "| 5 |",
        "",
        "## Empty",
    ]


def test_numbers_stay_beside_what_they_are_of(tmp_path):
    table = Table(["from"], [["measured, n = 3"], ["1.00 ± 0.25"]])
    write_page("Title", [Section("One", tables=[table])], tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<td>measured, n&nbsp;=&nbsp;3</td>" in html
    assert "<td>1.00&nbsp;±&nbsp;0.25</td>" in html

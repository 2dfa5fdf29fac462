"""What a look over a data set found, to be printed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmsa.data.problems import Problems, listed

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


@dataclass
class CheckedPart:
    """One part of a data set.

    Attributes:
        pictures: that samples are cut from.
        samples: of them.
        problems: what is wrong, and what the protocol leaves out.
        odd: what may be right, and should be looked at.
        names: of keypoints or classes.
        counts: of the labels, see ``count_labels``.
    """

    pictures: int
    samples: int
    problems: Problems
    odd: Problems = field(default_factory=Problems)
    names: tuple[str, ...] = ()
    counts: dict[str, str | int] = field(default_factory=dict)


@dataclass
class CheckReport:
    """All parts, and what lies between them. Print it with rich.

    Attributes:
        parts: by their names.
        between: what is wrong with the parts together.
        alike: pictures of different parts that look alike.

    Examples:
        >>> from cmsa.data.problems import Problems
        >>> from cmsa.data.check_report import CheckedPart
        >>> report = CheckReport()
        >>> report.add("train", CheckedPart(2, 2, Problems(), counts={"nose": 2, "tail": 0}))
        >>> len(report), report.parts["train"].odd.wrong
        (0, {'label that no sample has': ['tail']})
    """

    parts: dict[str, CheckedPart] = field(default_factory=dict)
    between: Problems = field(default_factory=Problems)
    alike: Problems = field(default_factory=Problems)

    def add(self, name: str, part: CheckedPart) -> None:
        """Take up a part: what it never shows is odd, and other names than the first part's are wrong."""
        for label, count in part.counts.items():
            if count == 0:
                part.odd.add("label that no sample has", label)
        first = next(iter(self.parts.values()), part)
        if first.names != part.names:
            told = f"{len(part.names)} against {len(first.names)}: {', '.join(sorted({*part.names} ^ {*first.names}))}"
            self.between.add(f"{name} has other keypoints or classes, or in another order", told)
        self.parts[name] = part

    def __len__(self) -> int:
        """How many things must be mended."""
        return len(self.between) + sum(len(part.problems) for part in self.parts.values())

    def __rich__(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        last = f"{len(self):,} to mend" if len(self) else "nothing must be mended"
        return Group(self._summary(), self._findings(), self._labels(), Text(last, "red" if len(self) else "green"))

    def _summary(self) -> Table:
        from rich.markup import escape
        from rich.table import Table

        table = Table("part", "pictures", "samples")
        for name, part in self.parts.items():
            table.add_row(escape(name), f"{part.pictures:,}", f"{part.samples:,}")
        return table

    def _findings(self) -> Table | str:
        from rich.table import Column, Table

        found: dict[str, list[tuple[str, str, int, str]]] = {"mend": [], "look": [], "left out": []}
        for name, part in self.parts.items():
            for what, count, which in part.problems.rows("\n"):
                # A fault names the entries that have it; what the protocol leaves out is counted.
                found["mend" if which else "left out"].append((name, what, count, which))
            found["look"] += [(name, *row) for row in part.odd.rows("\n")]
        found["mend"] += [("", *row) for row in self.between.rows("\n")]
        found["look"] += [("", *row) for row in self.alike.rows("\n")]
        table = Table.grid(Column(no_wrap=True), Column(), padding=(0, 2, 0, 0))
        for verdict, style in (("mend", "red"), ("look", "yellow"), ("left out", "dim")):
            for name, what, count, which in found[verdict]:
                told = f"{': '.join(filter(None, (name, what)))}: {count:,}"
                table.add_row(f"[{style}]{verdict}[/]", listed(told, which))
        return table if table.row_count else "nothing is odd"

    def _labels(self) -> Table | str:
        from rich.markup import escape
        from rich.table import Column, Table

        rows = {label: None for part in self.parts.values() for label in part.counts}
        if not rows:
            return ""
        table = Table(Column("label", overflow="fold"), *(Column(name, justify="right") for name in self.parts))
        for label in rows:
            counts = [part.counts.get(label, "-") for part in self.parts.values()]
            table.add_row(escape(label), *(f"{count:,}" if isinstance(count, int) else count for count in counts))
        return table

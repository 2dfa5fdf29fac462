"""A list of what is wrong with a data set, kept while the rest of it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmsa.files.visible import visible

if TYPE_CHECKING:
    from rich.table import Table

_NAMED = 5
_NOTHING = "nothing was left out"


@dataclass
class Problems:
    """What was left out of a data set. Print it with rich, or as text.

    Attributes:
        wrong: for each kind of fault, the names or ids of the entries that have it.
        left_out: for each reason of the protocol, how many entries it left out; nothing is wrong with them.
    """

    wrong: dict[str, list[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, who: object) -> None:
        """Note that the entry ``who`` has the fault ``kind``."""
        self.wrong.setdefault(kind, []).append(str(who))

    def leave_out(self, reason: str) -> None:
        """Count an entry that the protocol leaves out."""
        self.left_out[reason] += 1

    def __len__(self) -> int:
        """How many faults there are."""
        return sum(len(entries) for entries in self.wrong.values())

    def rows(self) -> list[tuple[str, int, str]]:
        """What, how many, and the first few of them."""
        rows = []
        for kind, entries in self.wrong.items():
            more = ", ..." if len(entries) > _NAMED else ""
            if entries:
                rows.append((kind, len(entries), visible(", ".join(entries[:_NAMED])) + more))
        return rows + [(reason, count, "") for reason, count in self.left_out.items()]

    def __str__(self) -> str:
        if not self.rows():
            return _NOTHING
        return "\n".join(f"{kind}: {count}" + (f" ({named})" if named else "") for kind, count, named in self.rows())

    def __rich__(self) -> Table | str:
        if not self.rows():
            return _NOTHING
        from rich.markup import escape
        from rich.table import Column, Table

        table = Table("left out", "entries", Column("which", overflow="fold"))
        for kind, count, named in self.rows():
            table.add_row(escape(kind), f"{count:,}", escape(named))
        return table

"""A list of what is wrong with a data set, kept while the rest of it is read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cmsa.files.visible import visible

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

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

    def rows(self, between: str = ", ") -> list[tuple[str, int, str]]:
        """What, how many, and the first few of them with ``between`` between two."""
        rows = []
        for kind, entries in self.wrong.items():
            more = ["..."] if len(entries) > _NAMED else []
            if entries:
                rows.append((kind, len(entries), between.join([*map(visible, entries[:_NAMED]), *more])))
        return rows + [(reason, count, "") for reason, count in self.left_out.items()]

    def __str__(self) -> str:
        if not self.rows():
            return _NOTHING
        return "\n".join(f"{kind}: {count}" + (f" ({named})" if named else "") for kind, count, named in self.rows())

    def __rich__(self) -> Table | str:
        if not self.rows():
            return _NOTHING
        from rich.table import Table

        # The names stand each on a line of its own, which is as wide as can be: they are there to be found again.
        table = Table.grid(padding=(0, 2, 0, 0))
        for kind, count, named in self.rows(between="\n"):
            table.add_row("left out", listed(f"{kind}: {count:,}", named))
        return table


def listed(told: str, named: str) -> Text:
    """What was found, and below it the names of what has it; a name longer than a line goes on in the next."""
    from rich.text import Text

    return Text("\n".join(filter(None, (told, named))), overflow="fold")

"""Real files made wrong: bits, bytes and parts of their content; the values, keys and lengths of JSON."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1.5, 2**31, 2**53 + 1, 2**63, -(2**64), 10**400, 1e308, -1e308, 1e-308),
    *(float("nan"), float("inf"), "", "0", "nan", "\0", "\ud800", "x" * 300, "../../..", "[bold]", "new\nline"),
    *([], {}, [[]], [None], [0] * 5, {"a": {}}),
)
"""What JSON can hold where something else is expected."""
STRANGE_BYTES = (b"", b"\0" * 9, b"\xff" * 9, b"9" * 40, b"\xef\xbb\xbf", b"[" * 3000, b"\r\n", b"\xf0\x9f", b"%s\\")


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """One to three changes: bits flipped, cut short, a part removed, repeated, swapped with another or overwritten."""
    for _ in range(random.randint(1, 3)):
        start, stop = sorted(random.randrange(len(content) + 1) for _ in range(2))
        # Most of what matters is said at the beginning, and most damage is small.
        if random.random() < 0.5:
            start = min(start, random.randrange(200))
            stop = min(len(content), start + random.randrange(1, 9))
        middle = content[start:stop]
        change = random.randrange(7)
        if change == 0:
            changed = bytearray(content)
            for _ in range(random.choice((1, 1, 3, 20))):
                if changed:
                    changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
            content = bytes(changed)
        elif change == 1:
            content = content[:start]
        elif change == 2:
            content = content[:start] + content[stop:]
        elif change == 3:
            content = content[:stop] + middle + content[stop:]
        elif change == 4:
            content = content[stop:] + middle + content[:start]
        elif change == 5:
            content = content[:start] + random.choice(STRANGE_BYTES) + content[stop:]
        else:
            content = content[:start] + random.randbytes(stop - start) + content[stop:]
    return content


def damaged_value(value: Any, random: Random) -> Any:
    """A copy of a JSON value with one to three of its parts replaced, removed, repeated or renamed."""
    value = copy.deepcopy(value)
    for _ in range(random.randint(1, 3)):
        places = list(_places(value))
        if not places:
            return random.choice(HOSTILE)
        holder, key = random.choice(places)
        change = random.randrange(4)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif change == 1:
            holder[f"{key} "] = holder.pop(key)
        else:
            holder[key] = copy.deepcopy(random.choice(HOSTILE))
    return value if random.random() < 0.95 else random.choice(HOSTILE)


def damaged_json(content: bytes, random: Random) -> bytes:
    """JSON whose values are damaged, or its bytes, or which is encoded otherwise."""
    if random.random() < 0.2:
        return damaged_bytes(content, random)
    text = json.dumps(damaged_value(json.loads(content), random))
    return text.encode(random.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32")), "surrogatepass")


def _places(value: Any) -> Any:
    """Every container and key within a value."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])

"""The names of samples: `video[3]` or `video$_$3` for a numbered clip, `video[0.5,7.25]` for one from second to second."""
import re
from collections import Counter
from typing import Any, List, Optional, Sequence, Tuple

import numpy as np

from ..errors import FormatError
from .values import as_items

_CLIP = re.compile(r"(.*)(?:\[(\d+)\]|\$_\$(\d+))", re.DOTALL)
_SPAN = re.compile(r"(.*)\[([-+.\deE]+),([-+.\deE]+)\]", re.DOTALL)
# Characters of a name; longer ones are no names.
LONGEST = 1024
_REMEDY = "give every sample a name of its own as text, or leave the ids out with --ids none"


def canonical(name: str) -> str:
    """One spelling for the ways to write a name."""
    video, clip, span = parts(name)
    if clip is not None:
        return f"{video}[{clip}]"
    return f"{video}[{span[0]:.3f},{span[1]:.3f}]" if span is not None else video


def video_of(name: str) -> str:
    """The video, or dialogue, that a sample is from."""
    return parts(name)[0]


def parts(name: str) -> Tuple[str, Optional[int], Optional[Tuple[float, float]]]:
    """The video, and the number of the clip or its start and end in seconds, if the name has them."""
    name = name.strip()
    clip = _CLIP.fullmatch(name)
    if clip:
        return clip[1], int(clip[2] or clip[3]), None
    span = _SPAN.fullmatch(name)
    try:
        return (span[1], None, (float(span[2]), float(span[3]))) if span else (name, None, None)
    except ValueError:
        return name, None, None


def ids_of(value: Any, path: str, what: str) -> List[str]:
    """Names from what a file has: text, bytes, numbers, or (video, start, end) for each sample."""
    names = []
    for row, item in enumerate(as_items(value, path, what)):
        name = _text(item, path, what)
        if name is None or not name.strip() or "\0" in name or len(name) > LONGEST or any(
                "\ud800" <= c <= "\udfff" for c in name):
            raise FormatError(path, f"names of samples in '{what}'", f"'{name[:64]}' in row {row}" if name is not None else
                              f"{type(item).__name__} in row {row}", _REMEDY)
        names.append(name)
    return names


def _text(item: Any, path: str, what: str) -> Optional[str]:
    if isinstance(item, bytes):
        try:
            return item.decode("utf-8")
        except UnicodeDecodeError:
            return item.decode("latin-1")
    if isinstance(item, str):
        return str(item)
    if isinstance(item, (int, np.integer)) and not isinstance(item, bool):
        return str(int(item))
    if isinstance(item, (float, np.floating)):
        return str(int(item)) if np.isfinite(item) and item == int(item) else f"{float(item):g}"
    try:
        inner = [_text(part, path, what) for part in as_items(item, path, what)]
    except FormatError:
        return None
    if None in inner or not 1 <= len(inner) <= 3:
        return None
    return str(inner[0]) if len(inner) == 1 else f"{inner[0]}[{','.join(str(part) for part in inner[1:])}]"


def numbered(names: Sequence[str]) -> List[str]:
    """Names that repeat, with a number in the order of the samples: video[0], video[1]."""
    counts, seen = Counter(names), Counter()                                 # type: ignore[var-annotated]
    out = []
    for name in names:
        out.append(f"{name}[{seen[name]}]" if counts[name] > 1 else name)
        seen[name] += 1
    return out

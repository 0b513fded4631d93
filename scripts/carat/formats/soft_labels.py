"""Whether labels are shares or ratings, of which 0 does not tell what is present. Shapes: N samples, C labels."""
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

# With more of the values above 0 than this, they are no intensities: most people feel few things at once.
MOST_PRESENT = 0.75
# Fewer values, of a part of the file, are too few to tell: they may be above 0 by chance.
FEWEST_TELLING = 12


def soft_parts(array: np.ndarray, between: np.ndarray, names: Sequence[str], splits: Optional[Sequence[str]]) -> List[str]:
    """Where values are shares or ratings, of which 0 does not tell what is present; empty if nowhere.

    Each split, each label, all, and each label of each split are judged, for parts that are 0 and 1 hide one that is not.
    Told is the first of these that tells the soft from the others."""
    every: Dict[str, Any] = {"": slice(None)}
    known = [] if splits is None else list(dict.fromkeys(splits))
    of_split = {f" in split {split}": np.array(splits) == split for split in known if split} if len(known) > 1 else {}
    of_label = {f" as {name}": slice(i, i + 1) for i, name in enumerate(names)}
    found: List[str] = []
    for some_rows, some_labels in ((of_split, every), (every, of_label), (every, every), (of_split, of_label)):
        soft, judged = [], 0
        for split, rows in some_rows.items():
            for label, columns in some_labels.items():
                why = _softness(array[rows, columns], between[rows, columns], whole=not split + label)
                judged += why is not None
                used = between[rows].any(0)
                if not label and not used.all():
                    label = " as " + " and ".join(name for name, is_used in zip(names, used) if is_used)
                soft += [why + label + split] if why else []
        if soft and (len(soft) < judged or some_rows is some_labels):        # some of the parts, or all of the file
            return soft
        found = found or soft
    return found


def _softness(values: np.ndarray, between: np.ndarray, whole: bool) -> Optional[str]:
    """What tells that values are shares or ratings; empty if nothing does, None of a part with too few values to tell. Labels
    that are 0 and 1 throughout do not count."""
    used = between.any(0)
    if not used.any():
        return ""
    if not whole and values[:, used].size < FEWEST_TELLING:
        return None
    shares = values.shape[1] > 1 and bool(np.allclose(values.sum(1), 1, atol=1e-3))
    values = values[:, used]
    present = (values > 0).mean()
    if not shares and present <= MOST_PRESENT:
        return ""
    return (f"{values.min():g} to {values.max():g}, {present:.0%} of them above 0"
            + (", 1 in sum for every sample" if shares else ""))

"""Splits of a data set that has none."""
import random
from typing import Dict, List, Tuple

import numpy as np

from ..errors import FormatError
from . import sample_ids
from .dataset import ALL, SPLITS, SourceDataset, SourceSplit


def split_at_random(source: SourceDataset, shares: Tuple[float, float, float], seed: int
                    ) -> Tuple[Dict[str, SourceSplit], str]:
    """Three splits of about these shares, and a line that tells of them. Samples whose ids share a video stay together:
    a clip in test says much of another of the same person in train."""
    samples = source.splits[ALL]
    count = samples.count
    groups: Dict[str, List[int]] = {}
    for row in range(count):
        groups.setdefault(sample_ids.video_of(samples.ids[row]) if samples.ids is not None else str(row), []).append(row)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    wanted = [share * count for share in shares]
    rows: List[List[int]] = [[], [], []]
    videos = [0, 0, 0]
    for number, group in enumerate(order):
        empty = [i for i in range(3) if not rows[i]]
        places = empty if len(empty) >= len(order) - number else range(3)    # the last groups are for those without any
        place = max(places, key=lambda i: wanted[i] - len(rows[i]))
        rows[place] += group
        videos[place] += 1
    if not all(rows):
        raise FormatError(source.path, "samples for three splits", f"{count} samples of {len(groups)} videos",
                          "split it yourself, or give other shares with --split")
    splits = {name: samples.select(np.sort(np.array(part))) for name, part in zip(SPLITS, rows)}
    sizes = ", ".join(f"{name} {len(part)}" for name, part in zip(SPLITS, rows))
    note = f"split at random, seed {seed}: {sizes} samples"
    if samples.ids is None:
        return splits, note + "; no ids tell which are of one video"
    return splits, note + f" of {', '.join(map(str, videos))} videos, each video in one split"

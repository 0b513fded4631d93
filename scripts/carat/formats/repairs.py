"""What is mended in features, and how long padded sequences are. Both work on portions [n, T, F] in place."""
from dataclasses import dataclass
from typing import Dict, Tuple

import numpy as np

# Logarithms of a power: −∞ is silence, which the authors' code, and this project's trainer, read as 0.
LOGARITHMIC = ("audio",)


@dataclass
class Repairs:
    """What was found in one modality of one split, in elements or samples."""
    nan: int = 0
    positive_infinity: int = 0
    negative_infinity: int = 0
    silence: int = 0                                                         # −∞ that stays, for it is allowed
    cut: int = 0                                                             # samples longer than the steps kept
    lengths: int = 0                                                         # lengths that were not in 1 … T
    zeros_first: int = 0                                                     # samples that start with zeros, yet don't end so

    def as_dict(self) -> Dict[str, int]:
        return {name: value for name, value in vars(self).items() if value}


def mend(features: np.ndarray, modality: str, repairs: Repairs) -> None:
    """0 for NaN and +∞, and for −∞ unless it stands for silence."""
    if np.isfinite(features).all():
        return
    nan, infinite = np.isnan(features), np.isinf(features)
    positive, negative = infinite & (features > 0), infinite & (features < 0)
    repairs.nan += int(nan.sum())
    repairs.positive_infinity += int(positive.sum())
    if modality in LOGARITHMIC:
        repairs.silence += int(negative.sum())
        features[nan | positive] = 0
    else:
        repairs.negative_infinity += int(negative.sum())
        features[nan | infinite] = 0


def usable_lengths(lengths: np.ndarray, steps: int, repairs: Repairs) -> np.ndarray:
    """Lengths within 1 … T."""
    within = np.clip(lengths, 1, steps)
    repairs.lengths += int((within != lengths).sum())
    return within.astype(np.int32)


def infer_lengths(features: np.ndarray, padding: str, repairs: Repairs) -> Tuple[np.ndarray, np.ndarray]:
    """The features and lengths [n] of sequences whose padding is all-zero steps at the end, or at the front: such are
    moved, so that their padding comes last."""
    n, steps, _ = features.shape
    used = (features != 0).any(2)                                            # [n, T]
    last = np.where(used.any(1), steps - np.argmax(used[:, ::-1], 1), 1)
    first = np.where(used.any(1), np.argmax(used, 1), 0)
    if padding == "end":
        repairs.zeros_first += int(((first > 0) & (last == steps)).sum())
        return features, last.astype(np.int32)
    moved = np.zeros_like(features)
    for i in range(n):
        moved[i, :steps - first[i]] = features[i, first[i]:]
    return moved, np.maximum(last - first, 1).astype(np.int32)

"""Numbers behind the figures of latents: cosines of prototypes, a projection to two axes, the samples whose attention is shown."""
from dataclasses import dataclass
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

import numpy as np

# Of the levels plain, alpha and beta: what the scores come from in the end, with the largest weight in the loss.
LEVEL = "beta"
MOST_SAMPLES = 500
SEED = 0


class Example(NamedTuple):
    """The sample of the test split that has a label and gets the highest score for it.

    Attributes:
        sample: its number in the split, from 0.
        id: its name in the data, if it has one.
        winner: the modality whose score won the max-pooling; empty where the program did not tell.
        attention: by modality [t], the label's share of each time step up to the sequence's end.
    """
    label: str
    sample: int
    id: Optional[str]
    score: float
    winner: str
    attention: Dict[str, np.ndarray]


@dataclass
class Latents:
    """What the best weights make of the test split: prototypes, the latents of some of its samples, an example a label.

    Attributes:
        count: samples of the test split.
        drawn: [n] numbers of those whose latents are here.
        truth: [n, C] of 0 and 1.
        latents: by modality [n, C, P], of unit length.
        prototypes: by modality [2, C, P], of samples that have the label, and that do not.
        examples: in the labels' order; None for a label that no sample of the test split has.
    """
    count: int
    drawn: np.ndarray
    truth: np.ndarray
    latents: Dict[str, np.ndarray]
    prototypes: Dict[str, np.ndarray]
    examples: List[Optional[Example]]


def read(made: Mapping[str, np.ndarray], rows: Sequence[Mapping[str, str]], labels: Sequence[str],
         modalities: Sequence[str]) -> Latents:
    """What is drawn of `run.embeddings()`, and no more, for they are large.

    Args:
        rows: a sample's line each of `train predict --explain`, in the same order.
    """
    scores, truth = made["scores"], made["labels"]
    drawn = draw_samples(len(scores))
    examples: List[Optional[Example]] = []
    for i, (label, sample) in enumerate(zip(labels, best_samples(scores, truth))):
        if sample is None:
            examples.append(None)
            continue
        attention = {m: up_to_the_end(made[f"attention.{m}"][sample, i]) for m in modalities}
        examples.append(Example(label, sample, rows[sample].get("id"), float(scores[sample, i]),
                                rows[sample].get(f"modality_{label}", ""), attention))
    return Latents(len(scores), drawn, truth[drawn], {m: made[f"latent.{LEVEL}.{m}"][drawn] for m in modalities},
                   {m: made[f"prototypes.{m}"] for m in modalities}, examples)


def draw_samples(count: int) -> np.ndarray:
    """Numbers of at most `MOST_SAMPLES` of so many samples, ascending; the same ones every time."""
    return np.sort(np.random.default_rng(SEED).permutation(count)[:MOST_SAMPLES])


def best_samples(scores: np.ndarray, truth: np.ndarray) -> List[Optional[int]]:
    """For each label the sample with its highest score among those that have it, the first of equals; scores, truth [N, C]."""
    of_those = np.where(truth > 0, scores, -np.inf)
    return [int(of_those[:, i].argmax()) if (truth[:, i] > 0).any() else None for i in range(truth.shape[1])]


def up_to_the_end(attention: np.ndarray) -> np.ndarray:
    """[T] without the zeros behind a sequence's end."""
    attended = np.flatnonzero(attention)
    return attention[: attended[-1] + 1] if len(attended) else attention[:0]


def cosines(prototypes: np.ndarray) -> np.ndarray:
    """[C, C + 1] of prototypes [2, C, P]: each label's positive one with all positive ones, and, last, with its own negative
    one. NaN with one that has no direction yet."""
    norms = np.linalg.norm(prototypes, axis=2, keepdims=True)
    units = np.divide(prototypes, norms, out=np.full(prototypes.shape, np.nan), where=norms > 0)
    positive, negative = units
    return np.c_[positive @ positive.T, (positive * negative).sum(1)]


class Projection(NamedTuple):
    """The two directions of the largest variance.

    Attributes:
        mean: [P]
        axes: [2, P], of unit length; zeros where the rows have no second (or first) direction.
        shares: of the variance, on each axis.
    """
    mean: np.ndarray
    axes: np.ndarray
    shares: np.ndarray

    def of(self, rows: np.ndarray) -> np.ndarray:
        """[n, 2] of rows [n, P]."""
        projected: np.ndarray = (rows - self.mean) @ self.axes.T
        return projected


def project(rows: np.ndarray, towards: Optional[np.ndarray] = None) -> Projection:
    """Principal components of rows [n, P], n at least 1. Their signs are free: each axis rises along the direction `towards`
    [P], or else has its largest part positive."""
    rows = rows.astype(float)
    mean = rows.mean(0)
    _, sizes, found = np.linalg.svd(rows - mean, full_matrices=False)
    variance = sizes ** 2
    axes, shares = np.zeros((2, rows.shape[1])), np.zeros(2)
    for i in range(min(2, len(sizes))):
        # What is left by rounding is no direction.
        if variance[i] <= 1e-12 * max(float((rows ** 2).sum()), 1e-300):
            continue
        along = found[i] @ towards if towards is not None else found[i][np.abs(found[i]).argmax()]
        axes[i] = found[i] if along >= 0 else -found[i]
        shares[i] = variance[i] / variance.sum()
    return Projection(mean, axes, shares)

"""The trainer's metrics in NumPy, by scikit-learn's definitions: a quotient with nothing below the line is 0.

Tests/ScriptTests/test_metrics.py compares them with scikit-learn.
"""
import numpy as np


def quotient(above, below):
    return np.divide(above, below, out=np.zeros(np.shape(below)), where=np.asarray(below) > 0)


def average_precision(truth, scores):
    """The sum over a label's different scores of the recall gained there times the precision among all samples down to
    and with that score: samples of equal score have no order. 0 for a label without positives."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=np.nan) != 0)        # the last of each group of equal scores
    hits = np.cumsum(truth[order], dtype=np.float64)[ends]
    return float(np.sum(np.diff(hits, prepend=0) * hits / (ends + 1)) / max(hits[-1], 1)) if len(ends) else 0.0


def metrics(scores, labels, threshold):
    """All metrics of scores [N, C] against labels [N, C] of 0 and 1; a label is predicted where its score is above."""
    truth, predicted = np.asarray(labels) > 0, np.asarray(scores) > threshold
    hits, found, actual = (x.sum(0).astype(np.float64) for x in (truth & predicted, predicted, truth))
    label_f1 = quotient(2 * hits, found + actual)
    precisions = [average_precision(truth[:, c], scores[:, c]) for c in range(truth.shape[1])]
    return {
        "micro_f1": float(quotient(2 * hits.sum(), found.sum() + actual.sum())),
        "precision": float(quotient(hits.sum(), found.sum())),
        "recall": float(quotient(hits.sum(), actual.sum())),
        "accuracy": float(quotient((truth & predicted).sum(1), (truth | predicted).sum(1)).mean()),
        "macro_f1": float(label_f1.mean()),
        "mAP": float(np.mean(precisions)),
        "label_f1": label_f1.tolist(),
        "label_average_precision": precisions,
    }

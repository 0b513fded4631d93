"""Record what scikit-learn says of small inputs, for the trainer's metrics to be tested against:
python3 make_metrics.py OUT.json

Scores are multiples of 1/4096, so that they are the same numbers in float32, float64 and the file; labels are 0 and 1. A
label is predicted where its score is above the threshold; what scikit-learn leaves open (zero_division) is 0, as is the
average precision of a label without positives.
"""
import json
import sys
import warnings

import numpy as np
import sklearn
from sklearn.metrics import (accuracy_score, average_precision_score, f1_score, hamming_loss, jaccard_score, label_ranking_loss,
                             precision_score, recall_score)


def by_scikit_learn(scores, labels, threshold):
    truth, predicted = labels.astype(int), (scores > threshold).astype(int)
    # With one label scikit-learn would take [N, 1] for classes 0 and 1: a label that is nowhere makes it multi-label,
    # and takes no part in an average over samples or over all pairs.
    both = [np.concatenate([x, np.zeros((len(x), 1), int)], 1) for x in (truth, predicted)]
    label_f1 = [float(f1_score(truth[:, c], predicted[:, c], zero_division=0)) for c in range(truth.shape[1])]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "No positive class found in y_true")
        precisions = [float(average_precision_score(truth[:, c], scores[:, c])) for c in range(truth.shape[1])]
    return {
        "micro_f1": float(f1_score(*both, average="micro", zero_division=0)),
        "precision": float(precision_score(*both, average="micro", zero_division=0)),
        "recall": float(recall_score(*both, average="micro", zero_division=0)),
        "accuracy": float(jaccard_score(*both, average="samples", zero_division=0)),
        "macro_f1": float(np.mean(label_f1)),
        "mAP": float(np.mean(precisions)),
        "macro_precision": float(np.mean([precision_score(truth[:, c], predicted[:, c], zero_division=0)
                                          for c in range(truth.shape[1])])),
        "macro_recall": float(np.mean([recall_score(truth[:, c], predicted[:, c], zero_division=0)
                                       for c in range(truth.shape[1])])),
        "weighted_f1": float(f1_score(*both, average="weighted", zero_division=0)),
        "samples_f1": float(f1_score(*both, average="samples", zero_division=0)),
        "hamming_loss": float(hamming_loss(truth, predicted)),
        "subset_accuracy": float(accuracy_score(*both)),
        # Of a single label no pair can be ranked.
        "ranking_loss": float(label_ranking_loss(truth, scores)) if truth.shape[1] > 1 else 0.0,
        "label_f1": label_f1,
        "label_average_precision": precisions,
        "label_precision": [float(precision_score(truth[:, c], predicted[:, c], zero_division=0)) for c in range(truth.shape[1])],
        "label_recall": [float(recall_score(truth[:, c], predicted[:, c], zero_division=0)) for c in range(truth.shape[1])],
    }


def inputs(random):
    """Name, scores [N, C], labels [N, C], threshold."""

    def labels(n, c, share=0.3):
        return (random.random((n, c)) < share).astype(int)

    def levels(n, c, count):
        return random.integers(0, count, (n, c)) / 16

    yield "random", random.permutation(4096)[:180].reshape(30, 6) / 4096, labels(30, 6), 0.25
    yield "few different scores", levels(40, 6, 5), labels(40, 6), 0.125
    yield "positives first, all scores equal", np.full((6, 2), 0.5), np.array([[1, 1]] * 2 + [[0, 0]] * 4), 0.25
    yield "positives last, all scores equal", np.full((6, 2), 0.5), np.array([[0, 0]] * 4 + [[1, 1]] * 2), 0.25
    yield "scores at the threshold are not predicted", levels(20, 4, 9), labels(20, 4), 0.25
    one_class = labels(25, 4)
    one_class[:, 1], one_class[:, 3] = 1, 0
    yield "a label in all samples, one in none", levels(25, 4, 12), one_class, 0.25
    yield "no positive at all", levels(10, 3, 16), labels(10, 3, 0), 0.25
    yield "positives only", levels(10, 3, 16), labels(10, 3, 1), 0.25
    yield "nothing predicted", levels(12, 3, 8), labels(12, 3), 0.75
    yield "nothing predicted, nothing true", levels(5, 2, 4), labels(5, 2, 0), 0.75
    yield "samples without a label", levels(30, 5, 16), labels(30, 5, 0.08), 0.5
    truth = labels(15, 3)
    yield "perfect", truth * 0.5 + 0.25, truth, 0.5
    yield "one label", levels(20, 1, 10), labels(20, 1), 0.25
    yield "one sample", levels(1, 6, 16), labels(1, 6, 0.5), 0.25
    yield "sixteen labels", levels(24, 16, 16), labels(24, 16, 0.2), 0.5


def record():
    cases = [{"name": name, "threshold": threshold, "scores": scores.tolist(), "labels": labels.tolist(),
              "expected": by_scikit_learn(scores, labels, threshold)}
             for name, scores, labels, threshold in inputs(np.random.default_rng(12))]
    return {"made_by": f"scripts/reference/make_metrics.py, scikit-learn {sklearn.__version__}", "cases": cases}


if __name__ == "__main__":
    content = record()
    lines = ",\n".join(json.dumps(case) for case in content["cases"])
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(f'{{"made_by": {json.dumps(content["made_by"])}, "cases": [\n{lines}\n]}}\n')

"""The reference's metrics against scikit-learn, and the values recorded from it for the trainer's tests."""
import json
import os
import unittest

import make_metrics
import numpy as np
from metrics import average_precision, metrics
from support import ROOT

RECORDED = os.path.join(ROOT, "Tests", "ModelTests", "Golden", "metrics.json")


class MetricsTests(unittest.TestCase):
    def assert_same(self, found: dict, wanted: dict, name: str) -> None:
        self.assertEqual(list(found), list(wanted))
        for metric, value in wanted.items():
            np.testing.assert_allclose(found[metric], value, rtol=0, atol=1e-12, err_msg=f"{name}: {metric}")

    def assert_reference(self, scores, labels, threshold: float, wanted: dict, name: str) -> None:
        """The reference has some of the metrics."""
        found = metrics(scores, labels, threshold)
        self.assertGreater(len(found), 5)
        self.assert_same(found, {key: wanted[key] for key in found}, name)

    def test_as_scikit_learn(self) -> None:
        random = np.random.default_rng(1)
        for trial in range(60):
            n, c = int(random.integers(1, 40)), int(random.integers(1, 8))
            scores = random.integers(0, random.choice([1, 2, 5, 4096]), (n, c)) / 4096
            labels = (random.random((n, c)) < random.choice([0, 0.1, 0.5, 1], c)).astype(int)
            threshold = float(random.choice([0.0, 1 / 4096, 0.25, 1.0]))
            self.assert_reference(scores, labels, threshold, make_metrics.by_scikit_learn(scores, labels, threshold), f"trial {trial}")

    def test_equal_scores_have_no_order(self) -> None:
        truth = np.array([1, 1, 0, 0, 0, 0])
        for order in (truth, truth[::-1]):
            self.assertAlmostEqual(average_precision(order, np.zeros(6)), 1 / 3)

    def test_recorded_values(self) -> None:
        with open(RECORDED, encoding="utf-8") as file:
            recorded = json.load(file)
        cases = recorded["cases"]
        self.assertEqual([c["name"] for c in cases], [name for name, *_ in make_metrics.inputs(np.random.default_rng(12))])
        for case in cases:
            scores, labels = np.array(case["scores"]), np.array(case["labels"])
            self.assertTrue(np.array_equal(scores, scores.astype(np.float32)))
            self.assert_reference(scores, labels, case["threshold"], case["expected"], case["name"])
            self.assert_same(make_metrics.by_scikit_learn(scores, labels, case["threshold"]), case["expected"], case["name"])


if __name__ == "__main__":
    unittest.main()

"""docs/first-steps.ipynb comes to what is committed. With CARAT_WRITE_DOCS=1 it is written anew. Needs the built trainer."""
import json
import os
import re
import unittest
import unittest.mock

from carat import places
from support import ROOT, SCRIPTS, FileTestCase

try:
    import ipykernel  # noqa: F401
    import matplotlib  # noqa: F401
    import nbclient
    import nbformat
    import pandas  # noqa: F401
except ImportError:
    nbclient = None

NOTEBOOK = os.path.join(ROOT, "docs", "first-steps.ipynb")

# What a user would look at.
CHECKS = """import json
print(json.dumps({
    "rows": len(predictions), "ids": list(predictions["id"]), "best": run.result["test"]["micro_f1"], "epochs": len(run.history),
    "scores": predictions.filter(like="score_").to_numpy().tolist(), "labels": predictions.filter(like="label_").to_numpy().tolist(),
    "truth": truth.astype(int).tolist(), "metrics": run.history.filter(like="valid_").to_numpy().tolist(),
    "report": pathlib.Path(report).read_text()[:15], "digest": run.result["digest"]}))
import shutil
shutil.rmtree(place)"""


@unittest.skipIf(nbclient is None, "no nbclient, ipykernel, pandas or matplotlib")
@unittest.skipUnless(os.path.isfile(places.train()), "no built trainer")
class NotebookTests(FileTestCase):
    def test_first_steps(self) -> None:
        committed = nbformat.read(NOTEBOOK, as_version=4)
        fresh = nbformat.read(NOTEBOOK, as_version=4)
        for cell in fresh.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        fresh.cells.append(nbformat.v4.new_code_cell(CHECKS))
        with unittest.mock.patch.dict(os.environ, CARAT_TRAIN=os.path.abspath(places.train()), TMPDIR=self.directory,
                                      PYTHONPATH=os.pathsep.join([SCRIPTS, os.environ.get("PYTHONPATH", "")])):
            nbclient.NotebookClient(fresh, kernel_name="python3", extra_arguments=["--log-level=ERROR"], timeout=300, record_timing=False,
                                    resources={"metadata": {"path": self.directory}}).execute()
        found = json.loads(fresh.cells.pop().outputs[0]["text"])

        self.assertEqual((found["rows"], found["ids"], found["epochs"]), (5, [f"clip {i}" for i in range(5)], 15))
        self.assertTrue(all(0 < score < 1 for row in found["scores"] for score in row))
        self.assertTrue(all(0 <= value <= 1 for row in found["metrics"] for value in row[:3]))
        self.assertTrue(0.8 < found["best"] <= 1, found["best"])
        agreed = sum(a == b for row, truth in zip(found["labels"], found["truth"]) for a, b in zip(row, truth))
        self.assertGreater(agreed, 11)                                       # of 15
        self.assertEqual(found["report"], "<!doctype html>")

        if os.environ.get("CARAT_WRITE_DOCS") == "1":
            fresh.metadata = committed.metadata
            nbformat.write(fresh, NOTEBOOK)
            committed = fresh
        # Executed in order, without failures, and it tells of no machine.
        cells = [cell for cell in committed.cells if cell.cell_type == "code"]
        self.assertEqual([cell.execution_count for cell in cells], list(range(1, len(cells) + 1)))
        outputs = json.dumps([cell.outputs for cell in cells])
        self.assertNotRegex(outputs, r'"output_type": "error"')
        self.assertIsNone(re.search(r"(/tmp|/home|/root|/Users|/work|/var|\.venv)\b", outputs))
        # The same bits as here, by the digest, whatever pandas makes of tables.
        self.assertIn(found["digest"], outputs, "the notebook has other results: CARAT_WRITE_DOCS=1 scripts/check/python test_notebook")


if __name__ == "__main__":
    unittest.main()

"""The example of docs/python.md, cell by cell."""
import contextlib
import io
import os
import re
import tempfile
import unittest

import paceline  # noqa: F401

PAGE = os.path.join(os.path.dirname(__file__), "..", "..", "docs", "python.md")


class Notebook(unittest.TestCase):
    def test_every_cell_runs(self):
        with open(PAGE, encoding="utf-8") as page:
            cells = re.findall(r"^```python\n(.*?)^```", page.read(), re.S | re.M)
        self.assertGreater(len(cells), 3)
        names, said = {}, io.StringIO()
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(said):
            os.chdir(folder)
            for cell in cells:
                exec(compile(cell, PAGE, "exec"), names)  # pylint: disable=exec-used
            os.chdir("/")
        self.assertIn("lags-sgd", said.getvalue())


if __name__ == "__main__":
    unittest.main()

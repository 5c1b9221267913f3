"""`pip install .` in a fresh virtual environment, of the module that this build has made (PACELINE_BUILD): it is found without any
PYTHONPATH, with its stubs, and runs, SimGrid's module beside it. Exit code 77: pip does not work here, and the line says why."""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
USE = """
import pathlib, paceline
folder = pathlib.Path(paceline.__file__).parent
assert str(folder).startswith(%r), folder
assert (folder / "__init__.pyi").exists() and (folder / "py.typed").exists(), list(folder.iterdir())
experiment = {"model": "resnet50", "batch": 32, "cluster": "16x1-1080ti-10gbe"}
closed = paceline.run(experiment)["iteration_time_s"]
flow = paceline.run(experiment, fidelity="flow", network="simgrid")["iteration_time_s"]
assert 0 < closed and abs(flow / closed - 1) < 0.2, (closed, flow)
print(paceline.__version__)
"""


def skipped(why):
    print(f"skipped: {why}")
    sys.exit(77)


def main():
    build = sys.argv[1]
    with tempfile.TemporaryDirectory() as made:
        environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        venv = Path(made) / "venv"
        done = subprocess.run([sys.executable, "-m", "venv", "--system-site-packages", venv], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            skipped("python3 -m venv does not work here (Debian: python3-venv): " + (done.stdout + done.stderr).strip()[-300:])
        python = venv / "bin" / "python"
        if subprocess.run([python, "-c", "import setuptools, wheel"], env=environment, capture_output=True, check=False).returncode != 0:
            skipped("setuptools or wheel is not installed (Debian: python3-setuptools, python3-wheel), and no network is asked for them")
        installed = subprocess.run([python, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--no-index", ROOT],
                                   env={**environment, "PACELINE_BUILD": build}, capture_output=True, text=True, check=False, cwd=made)
        print(installed.stdout, installed.stderr, sep="\n")
        if installed.returncode != 0:
            return 1
        used = subprocess.run([python, "-c", USE % str(venv)], env=environment, cwd=made, check=False)
        return used.returncode


if __name__ == "__main__":
    sys.exit(main())

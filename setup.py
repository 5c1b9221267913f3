"""`pip install .`: builds the Python module with CMake, as of `-DPACELINE_PYTHON=ON`. pyproject.toml has the rest.

What it was built in stays in build/pip, so that a second time is quick; PACELINE_BUILD names another folder.
"""
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r"project\(paceline VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]


class CMakeBuild(build_ext):
    def build_extension(self, extension):
        build = Path(os.environ.get("PACELINE_BUILD") or ROOT / "build" / "pip").resolve()
        package = Path(self.get_ext_fullpath(extension.name)).resolve().parent
        configure = ["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", "-DPACELINE_PYTHON=ON", f"-DPython3_EXECUTABLE={sys.executable}"]
        if not (build / "CMakeCache.txt").exists():
            configure += ["-DCMAKE_BUILD_TYPE=Release", "-DPACELINE_UNITY=ON", "-DPACELINE_TESTS=OFF", "-DPACELINE_BENCH=OFF", "-DPACELINE_CUDA=OFF"]
        subprocess.run(configure, check=True)
        subprocess.run(["cmake", "--build", build, "--target", "paceline_python", "paceline_modules"], check=True)
        package.mkdir(parents=True, exist_ok=True)
        for file in [*(build / "python" / "paceline").glob("_paceline*.so"), *(build / "lib").glob("libpaceline_*.so")]:
            shutil.copy2(file, package)


setup(version=VERSION, ext_modules=[Extension("paceline._paceline", [])], cmdclass={"build_ext": CMakeBuild})

"""`pip install .`: builds the Python module with CMake, as of `-DPACELINE_PYTHON=ON`. pyproject.toml has the rest.

What it is built in stays in build/pip, so that a second time is quick. PACELINE_BUILD names another folder: one in which
the module has been built is taken as it is.
"""
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
VERSION = re.search(r"project\(paceline VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text())[1]
MODULE = "_paceline" + sysconfig.get_config_var("EXT_SUFFIX")  # of this version of Python
OPTIONS = ["-DCMAKE_BUILD_TYPE=Release", "-DPACELINE_PYTHON=ON", "-DPACELINE_UNITY=ON", "-DPACELINE_TESTS=OFF",
           "-DPACELINE_BENCH=OFF", "-DPACELINE_CUDA=OFF"]


def built():
    """The folder in which the module is, made where none is named."""
    named = os.environ.get("PACELINE_BUILD")
    if named:
        build = Path(named).resolve()
        if not (build / "python" / "paceline" / MODULE).exists():
            sys.exit(f"PACELINE_BUILD={named}: there is no {MODULE} in it (cmake -DPACELINE_PYTHON=ON, then the target paceline_python)")
        return build
    build = ROOT / "build" / "pip"
    for program in ("cmake", "ninja"):
        if shutil.which(program) is None:
            sys.exit(f"paceline is built with {program}, which is not here; README.md says which Debian packages it needs")
    subprocess.run(["cmake", "-S", ROOT, "-B", build, "-G", "Ninja", f"-DPython3_EXECUTABLE={sys.executable}", *OPTIONS], check=True)
    subprocess.run(["cmake", "--build", build, "--target", "paceline_python", "paceline_modules"], check=True)
    return build


class CMakeBuild(build_ext):
    def build_extension(self, ext):
        build = built()
        package = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        package.mkdir(parents=True, exist_ok=True)
        for file in [build / "python" / "paceline" / MODULE, *(build / "lib").glob("libpaceline_*.so")]:
            shutil.copy2(file, package)


(ROOT / "build").mkdir(exist_ok=True)  # all that setuptools writes goes there too
setup(version=VERSION, ext_modules=[Extension("paceline._paceline", [])], cmdclass={"build_ext": CMakeBuild},
      options={"egg_info": {"egg_base": "build"}, "build": {"build_base": "build/pip/wheel"}})

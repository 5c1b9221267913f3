"""No hidden constants: a figure that moves results is a Default (base/defaults.hpp), which `paceline list defaults` prints.

Of the rooms below, every other constant of floating point stands in constants.txt with the reason why it moves none.
"""
import re
from pathlib import Path

ROOMS = re.compile(r"(algorithms|sim|experiments|platforms|calibrate/(analytic|profile|transfer|network))/")
CONSTANT = re.compile(r"\bconstexpr\s+(?:double|float)\s+(?P<names>[^;]*?);", re.S)
NAME = re.compile(r"\b(k[A-Z]\w*)\s*(?==|\{)")
LIST = Path(__file__).resolve().parent / "constants.txt"


def excused():
    """{path: {names}} of a list with a path, a name and a reason on each line."""
    names = {}
    for line in LIST.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            path, name, _ = line.split(None, 2)
            names.setdefault(path, set()).add(name)
    return names


def check(files):
    known = excused()
    for file in files:
        if file.suffix not in {".cpp", ".hpp"} or not ROOMS.match(file.path):
            continue
        found = set()
        for match in CONSTANT.finditer(file.text):
            for name in NAME.finditer(match.group("names")):
                found.add(name.group(1))
                if name.group(1) not in known.get(file.path, ()):
                    yield file.finding(match.start(), "constant",
                                       f"{name.group(1)}: make it a Default, or say in constants.txt why it moves nothing")
        for name in sorted(known.get(file.path, set()) - found):
            yield file.finding(0, "constant", f"constants.txt excuses {name}, which is not here: take the line out")

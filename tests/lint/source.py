"""Our files, and C++ text without what could mislead a search."""
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

CPP = {".hpp", ".cpp", ".cu", ".cuh", ".h"}
FIXTURES = "tests/lint/fixtures/"


@dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    rule: str
    message: str = ""

    def __str__(self):
        return f"{self.path}:{self.line}: [{self.rule}] {self.message}"


class File:
    """One file of the tree: `path` relative to its root."""

    def __init__(self, root, path):
        self.path = path
        self.raw = (Path(root) / path).read_bytes()

    @property
    def suffix(self):
        return os.path.splitext(self.path)[1]

    @property
    def folder(self):
        return self.path.split("/")[0] if "/" in self.path else ""

    @property
    def text(self):
        return self.raw.decode("utf-8", errors="replace")

    @property
    def is_text(self):
        return b"\0" not in self.raw[:8192]

    def finding(self, offset, rule, message):
        return Finding(self.path, self.text.count("\n", 0, offset) + 1, rule, message)


def our_files(root):
    """The tracked files; outside a git work tree (a released archive) all but build and hidden folders."""
    try:
        top = subprocess.run(["git", "-C", root, "rev-parse", "--show-toplevel"], check=True,
                             capture_output=True, text=True).stdout.strip()
        if not os.path.samefile(top, root):
            raise ValueError("the work tree of something else")
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], check=True,
                                capture_output=True, text=True).stdout.split("\0")
        paths = [p for p in listed if p and (Path(root) / p).is_file()]
    except (OSError, ValueError, subprocess.CalledProcessError):
        paths = []
        for folder, names, files in os.walk(root):
            names[:] = [n for n in names if n != "build" and not (n.startswith(".") and n != ".ci")]
            paths += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return [File(root, p) for p in sorted(paths) if not p.startswith(FIXTURES)]


_TOKENS = re.compile(
    r'//[^\n]*|/\*.*?\*/'                      # comments
    r'|R"(?P<d>[^ ()\\\n]*)\(.*?\)(?P=d)"'     # raw strings
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|(?<![0-9A-Fa-f'])'(?:[^'\\\n]|\\.)+'"   # characters, but not 1'000'000
    r'|^[ \t]*\#(?:[^\n\\]|\\.)*', re.S | re.M)


def blanked(text):
    """`text` with comments, literals and preprocessor lines replaced by spaces, lines kept."""
    return _TOKENS.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)

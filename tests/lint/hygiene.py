"""What every file and folder of ours keeps to."""
import re

from source import CPP, Finding

LONGEST = 500
# Of one machine, or of one place's network: nothing of either belongs in the project.
PLACES = re.compile(
    r"(?<![\w.])/(?:home|Users|root|work|mnt|srv|tmp|var/tmp|scratch)/[\w.]+"
    r"|\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
    r"|\b[\w.-]+\.(?:internal|corp|lan)\b(?!\()"
    r"|\b(?:deb\.debian|pypi|files\.pythonhosted|crates|registry\.npmjs|anaconda|proxy\.golang|ghcr|quay|docker)"
    r"\.(?:org|io|com)\b"
    r"|\b(?:artifactory|nexus|mirror|registry|proxy)\.[\w-]+\.(?:com|org|net|io|dev)\b")
# Until C++23 a range-for keeps what its expression is, not what that is a part of.
DANGLING = re.compile(r"\bfor \([^;()]*[^:;()]:\s+(?:\w+::)*\w+\((?:[^;{}]*)\)\s*\.(?:at|items|value|front|back)\(")
EXEMPT_PLACES = {"tests/lint/hygiene.py"}  # the patterns themselves


def check(files):
    paths = {file.path for file in files}
    for folder in sorted({file.folder for file in files}):
        readme = f"{folder}/README.md" if folder else "README.md"
        if readme not in paths and not folder.startswith("."):
            yield Finding(folder or ".", 1, "readme", "a folder has a README.md: what lives here and what may not")
    for file in files:
        if not file.is_text:
            continue
        if file.path not in EXEMPT_PLACES:
            for match in PLACES.finditer(file.text):
                yield file.finding(match.start(), "place", f"'{match.group()}' is one machine's or one network's")
        if file.suffix in CPP | {".py"} and file.text.count("\n") > LONGEST:
            yield file.finding(0, "long-file", f"{file.text.count(chr(10))} lines; more than {LONGEST} hide two things")
        if file.suffix in CPP:
            for match in DANGLING.finditer(file.text):
                yield file.finding(match.start(), "dangling-range", "a part of what a call returns, which is gone: name it first")
        if file.suffix in {".hpp", ".cuh", ".h"} and not re.search(r"^#pragma once$", file.text, re.M):
            yield file.finding(0, "pragma-once", "a header begins with #pragma once")

#!/usr/bin/env python3
"""Rules for our sources that no compiler checks.

    lint.py [--root FOLDER] [includes|coroutines|hygiene|data|constants]...     (default: all)
    lint.py --self-test         every rule fires on its bad fixture, there only, and nowhere else

Exceptions stand in allowed.txt, each with its reason; one that excuses nothing fails a run of all groups.
"""
import argparse
import collections
import re
import shutil
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # no __pycache__ beside the sources

import constants
import coroutines
import data
import hygiene
import includes
from source import our_files

HERE = Path(__file__).resolve().parent
GROUPS = {"includes": includes, "coroutines": coroutines, "hygiene": hygiene, "data": data,
          "constants": constants}


def exceptions(path):
    """{(rule, path): reason} of a file with a rule, a path and a reason on each line."""
    allowed = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.strip() and not line.startswith("#"):
            rule, where, reason = line.split(None, 2)
            allowed[rule, where] = reason
    return allowed


def run(root, groups, allowed):
    files = our_files(root)
    if not files:
        sys.exit(f"lint: no files under {root}")
    findings = sorted(f for g in groups for f in GROUPS[g].check(files))
    return [f for f in findings if (f.rule, f.path) not in allowed], {(f.rule, f.path) for f in findings}


def self_test():
    """The fixtures as a tree of their own: lines marked `LINT: rule`, and unmarkable ones in expected.txt."""
    fixtures = HERE / "fixtures"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(fixtures, root)
        (root / "expected.txt").unlink()
        (root / "base/long.cpp").write_text("\n" * (hygiene.LONGEST + 1))
        (root / "base/not_quite_long.cpp").write_text("\n" * hygiene.LONGEST)
        expected = collections.Counter()
        for line in (fixtures / "expected.txt").read_text().splitlines():
            if line and not line.startswith("#"):
                where, rule = line.rsplit(None, 1)
                expected[where, rule] += 1
        for file in our_files(str(root)):
            for number, line in enumerate(file.text.splitlines(), 1):
                for rules in re.findall(r"LINT: ([\w-]+(?:, [\w-]+)*)", line):
                    for rule in rules.split(", "):
                        expected[f"{file.path}:{number}", rule] += 1
        found = collections.Counter((f"{f.path}:{f.line}", f.rule) for f in run(str(root), GROUPS, {})[0])
    for (where, rule), count in (expected - found).items():
        print(f"{where}: [{rule}] was to be found {count} more time(s)")
    for (where, rule), count in (found - expected).items():
        print(f"{where}: [{rule}] was found {count} more time(s) than it should be")
    rules = {rule for _, rule in expected}
    if found != expected:
        return 1
    print(f"lint: {len(rules)} rules, {sum(expected.values())} findings, as expected")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--root", default=str(HERE.parent.parent))
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    for group in options.groups:
        if group not in GROUPS:
            parser.error(f"no group '{group}'; known: {', '.join(GROUPS)}")
    allowed = exceptions(HERE / "allowed.txt")
    findings, found = run(options.root, options.groups or list(GROUPS), allowed)
    print(*findings, sep="\n", end="\n" if findings else "")
    unused = []
    if set(options.groups or GROUPS) == set(GROUPS):  # a group finds nothing for the others' exceptions
        unused = sorted(set(allowed) - found)
        for rule, path in unused:
            print(f"tests/lint/allowed.txt: '{rule} {path}' excuses nothing: take the line out")
    return 1 if findings or unused else 0


if __name__ == "__main__":
    sys.exit(main())

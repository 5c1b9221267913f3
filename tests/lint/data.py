"""Shipped JSON parses strictly and says its format, so that a reader can refuse what it does not know."""
import json
import re

# By folder: the value of "format", as a pattern; None for files that are not in a format of ours.
FORMATS = [
    (r"calibrate/profiles/", r"paceline-profile-\d+"),
    (r"platforms/clusters/", r"paceline-cluster-\d+"),
    (r"platforms/parts/", None),         # pieces of cluster files, not files a user hands in
    (r"calibrate/data/", None),          # figures from papers, described in the folder's README.md
    (r"models/", r"paceline-model-\d+"),
    (r"experiments/published/", r"paceline-published-\d+"),
    (r"experiments/", r"paceline-experiment-\d+"),
    (r"CMakePresets\.json$", None),      # CMake's own format
    (r"tests/fuzz/corpus/", None),       # what readers must bear
    (r"", r"paceline-[a-z]+-\d+"),
]


def unique_keys(pairs):
    keys = [key for key, _ in pairs]
    for key in keys:
        if keys.count(key) > 1:
            raise ValueError(f"key '{key}' appears twice in one object")
    return dict(pairs)


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


def check(files):
    for file in files:
        if file.suffix != ".json":
            continue
        try:
            value = json.loads(file.raw.decode("utf-8"), object_pairs_hook=unique_keys, parse_constant=no_constant)
        except json.JSONDecodeError as error:
            yield file.finding(error.pos, "json", error.msg)
            continue
        except (ValueError, UnicodeDecodeError) as error:
            yield file.finding(0, "json", str(error))
            continue
        expected = next(pattern for where, pattern in FORMATS if re.match(where, file.path))
        if expected is None:
            continue
        given = value.get("format") if isinstance(value, dict) else None
        if not isinstance(given, str) or not re.fullmatch(expected, given):
            yield file.finding(0, "format", f'"format" is {given!r}, expected {expected}')

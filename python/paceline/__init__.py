"""Paceline: how fast will a distributed training schedule run on a cluster?

    import paceline
    result = paceline.run("reference-wfbp", cluster="16x1-1080ti-10gbe")
    result["iteration_time_s"]

What comes back are the dicts of the JSON files that `paceline ... --json` prints. What is wrong with an experiment raises
InputError, with the message of the command line.
"""
import json as _json
import os as _os

from ._paceline import CheckFailed, InputError, version as _version
from . import _paceline

__all__ = ["CheckFailed", "InputError", "compare", "frame", "load", "optimize", "run", "sweep"]
__version__ = _version()


def _text(what):
    """A name or path as it is, a dict as JSON."""
    if what is None:
        return ""
    if isinstance(what, (str, _os.PathLike)):
        return _os.fspath(what)
    return _json.dumps(what)


def _axes(vary):
    """{"network.bandwidth": "1Gbps..100Gbps:log9", "batch": [16, 32]} as the command line has them."""
    def values(value):
        return value if isinstance(value, str) else ",".join(str(v) for v in value)
    return [f"{axis}={values(value)}" for axis, value in (vary or {}).items()]


def run(experiment=None, **keys):
    """The result of one experiment: a name, a path or a dict, and keys of an experiment that override it
    (model="resnet50", batch=32, schedule="cocod-sgd:period=5", set=["network.bandwidth=25Gbps"]). `layers=True` adds
    its table by layer."""
    layers = bool(keys.pop("layers", False))
    return _json.loads(_paceline.run(_text(experiment), _json.dumps(keys), layers))


def compare(experiment=None, vary=None, jobs=0, **keys):
    """Every combination of the axes side by side, and the experiment's own: {"axes": [...], "rows": [{"labels", "result"}]}.
    `vary`: values by field, {"schedule": ["s-sgd", "lags-sgd"], "network.bandwidth": "1Gbps..100Gbps:log5"}."""
    return _json.loads(_paceline.compare(_text(experiment), _json.dumps(keys), _axes(vary), jobs))


def sweep(study=None, store=None, vary=None, jobs=0, name="", **keys):
    """Runs the points of a study (a name, a path or a dict; or an experiment with `vary`) that the store does not have yet,
    and returns how many there are, were found and failed. `store`: its file, NAME.db where nothing is said."""
    return _json.loads(_paceline.sweep(_text(study), _json.dumps(keys), _axes(vary), _text(store), name, jobs))


def optimize(study=None, store=None, vary=None, minimize="", maximize="", subject_to=(), each=(), evaluations=200, jobs=0, name="",
             **keys):
    """The setting of a study's axes with the least or the largest figure (time, cost, energy, a column of load(), an axis of
    numbers) under bounds ("memory<=11GiB"), for every value of the axes `each`: {"optima": [{"setting", "value", ...}]}, as
    `paceline optimize --json` prints it. What was looked at stays in the store. InputError where no setting is allowed."""
    bounds = [subject_to] if isinstance(subject_to, str) else list(subject_to)
    axes = [each] if isinstance(each, str) else list(each)
    return _json.loads(_paceline.optimize(_text(study), _json.dumps(keys), _axes(vary), _text(store), name, minimize, maximize,
                                          bounds, axes, evaluations, jobs))


def load(store, study="", where=(), columns=(), sort="", sql="", full=False):
    """Rows of a store as dicts, in the order of the study. `where`: "network.bandwidth=1Gbps..10Gbps", one or several;
    `sql`: one SELECT over "points" instead. `full`: {"number", "labels", "result"} with the whole result of each."""
    where = [where] if isinstance(where, str) else list(where)
    return _json.loads(_paceline.load(_os.fspath(store), study, where, list(columns), sort, sql, full))


def frame(store, **question):
    """load() as a pandas.DataFrame; needs pandas."""
    import pandas
    return pandas.DataFrame(load(store, **question))

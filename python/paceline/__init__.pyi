from os import PathLike
from typing import Any, Iterable, Mapping, TypedDict, Union

_Json = dict[str, Any]
_Described = Union[str, PathLike[str], Mapping[str, Any], None]
_Vary = Union[Mapping[str, Union[str, Iterable[Union[str, int, float]]]], None]

__version__: str


class InputError(ValueError): ...
class CheckFailed(RuntimeError): ...


class _Row(TypedDict):
    labels: list[str]
    result: _Json


class _Comparison(TypedDict):
    format: str
    axes: list[str]
    rows: list[_Row]


def run(experiment: _Described = ..., *, layers: bool = ..., **keys: Any) -> _Json: ...
def compare(experiment: _Described = ..., vary: _Vary = ..., jobs: int = ..., **keys: Any) -> _Comparison: ...
def sweep(study: _Described = ..., store: Union[str, PathLike[str], None] = ..., vary: _Vary = ..., jobs: int = ...,
          name: str = ..., **keys: Any) -> _Json: ...
def optimize(study: _Described = ..., store: Union[str, PathLike[str], None] = ..., vary: _Vary = ..., minimize: str = ...,
             maximize: str = ..., subject_to: Union[str, Iterable[str]] = ..., each: Union[str, Iterable[str]] = ...,
             evaluations: int = ..., jobs: int = ..., name: str = ..., **keys: Any) -> _Json: ...
def load(store: Union[str, PathLike[str]], study: str = ..., where: Union[str, Iterable[str]] = ...,
         columns: Iterable[str] = ..., sort: str = ..., sql: str = ..., full: bool = ...) -> list[_Json]: ...
def frame(store: Union[str, PathLike[str]], **question: Any) -> Any: ...

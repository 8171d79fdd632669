"""From what a user calls a dataset to an instance of it.

Tried in this order: an instance, a class, a path to a module file, a registered name, a port here
(slug, original name, pushed repo), a port pushed to the Hub.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_eval.dataset import hub, ports
from llm_eval.dataset.base import DATASETS, BaseDataset, Row
from llm_eval.dataset.spec import MANIFEST, read_manifest
from llm_eval.errors import HretError, Unknown, UserError
from llm_eval.registry import module_in

Subset = str | Sequence[str] | None


def load_datasets(
    name: str | type[BaseDataset] | BaseDataset,
    subset: Subset = None,
    split: str | None = None,
    lang: str | None = None,
    revision: str | None = None,
    **params: Any,
) -> BaseDataset:
    """The dataset called `name`, made with `subset`, `split` and `params`.

    `lang` chooses among the ports of a source; `revision` is a branch, tag or commit of a pushed
    port. A port's module is imported only where `ports.way_of` says so, and else runs in the
    sandbox; one from the Hub is verified first.

    Raises:
        Unknown: nothing answers to the name.
        UserError: several do, it cannot be made with these arguments, or it may not be run.
    """
    if isinstance(name, BaseDataset):
        if subset or split or revision or params:
            raise UserError(
                f"{type(name).__name__} is made already: its subset and split cannot be changed",
                hint="pass the class or the name instead of the instance",
            )
        return name
    found = _found(name, subset, lang, revision)
    if isinstance(found, type):
        return made(found, name, subset, split, params)
    way = ports.way_of(found)
    if way == "refused":
        raise ports.refusal(found)
    if way == "sandbox":
        from llm_eval.dataset.jailed import JailedDataset

        return JailedDataset(found, found.manifest.slug, subset or None, split, **params)
    return made(ports.module_class(found), name, subset, split, params)


def dataset_class(
    name: str, lang: str | None = None, revision: str | None = None
) -> type[BaseDataset]:
    """The class behind `name`, to be extended by subclassing.

    Raises:
        UserError: there is none to be had: the module runs in the sandbox alone.
    """
    found = _found(name, None, lang, revision)
    return found if isinstance(found, type) else ports.module_class(found)


def _found(
    name: str | type[BaseDataset], subset: Subset, lang: str | None, revision: str | None
) -> type[BaseDataset] | ports.Port:
    """The class or the port that answers to `name`; nothing of a port is imported."""
    if revision is not None and not (isinstance(name, str) and hub.is_repo(name)):
        raise UserError(
            f"revision={revision!r} is of a port on the Hub, and {name!r} is none",
            hint="leave revision out",
        )
    if isinstance(name, type):
        if not issubclass(name, BaseDataset):
            raise UserError(
                f"{name.__name__} is no subclass of BaseDataset",
                hint="subclass llm_eval.datasets.base.BaseDataset",
            )
        return name
    if not isinstance(name, str) or not name:
        raise UserError(
            f"a dataset is named by a text, a class or an instance, not {name!r}",
            hint="hret datasets list shows the ports here",
        )
    if name.endswith(".py"):
        return _from_file(Path(name).expanduser())
    if "/" in name and (Path(name) / MANIFEST).is_file():
        return ports.Port(Path(name).resolve(), read_manifest(Path(name)))
    if name.startswith("hf:"):
        raise UserError(
            f"{name!r}: a source that was not ported cannot be evaluated yet",
            hint=f"port it first: hret port --dataset {name[3:]}",
        )
    if revision is None and name in DATASETS:
        return DATASETS.get(name)
    if revision is None and (port := ports.find(name, subset, lang)):
        return port
    if hub.is_repo(name) and (port := hub.from_hub(name, revision)):
        return port
    known = set(DATASETS.names()) | {n for p in ports.local_ports() for n in p.manifest.names}
    raise Unknown("dataset", name, known, hint="" if known else _none_hint(name))


def _none_hint(name: str) -> str:
    if "/" in name:
        return f"is that its name on the Hub, and may HF_TOKEN see it? hret port --dataset {name}"
    return f"port it first: hret port --dataset {name}; or give a path to a module (.py)"


def _from_file(path: Path) -> type[BaseDataset] | ports.Port:
    """The class in the user's own module file. One that lies in a port obeys the port's rules.

    Its relative imports begin at `llm_eval.datasets`, as in haerae-evaluation-toolkit.
    """
    if not path.is_file():
        raise UserError(f"there is no file {path}", hint="give a path to a dataset module (.py)")
    path = path.resolve()
    if (path.parent / MANIFEST).is_file():
        return ports.Port(path.parent, read_manifest(path.parent))
    return ports.class_of(module_in(path, ports.PACKAGE), path)


def made(
    kind: type[BaseDataset], name: Any, subset: Subset, split: str | None, params: dict[str, Any]
) -> BaseDataset:
    """An instance of `kind`, whatever its constructor takes; None is not passed at all.

    Several subsets go to a class of the list contract as a list, and to one of the row contract
    one by one.
    """
    subset = subset or None
    one = subset[0] if not isinstance(subset, str) and subset and len(subset) == 1 else subset
    if one is not None and not isinstance(one, str) and kind.load is BaseDataset.load:
        return Joined([made(kind, name, s, split, params) for s in one])
    taken = inspect.signature(kind).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    wanted = {k: v for k, v in {"subset": one, "split": split, **params}.items() if v is not None}
    if refused := [k for k in wanted if not anything and k not in taken]:
        raise UserError(
            f"{kind.__name__} takes no {refused[0]!r}",
            hint=f"it takes: {', '.join(taken) or 'nothing'}",
        )
    if isinstance(name, str) and "dataset_name" in taken:
        wanted["dataset_name"] = name
    try:
        return kind(**wanted)
    except HretError:
        raise
    except Exception as e:  # a module's constructor loads data and may raise anything
        raise UserError(
            f"{kind.__name__} could not be made: {type(e).__name__}: {e}",
            hint="check subset and split; hret datasets show SLUG says what a port has",
        ) from e


class Joined(BaseDataset):
    """Several datasets of one class, one subset each, as one."""

    def __init__(self, parts: Sequence[BaseDataset]) -> None:
        super().__init__(
            dataset_name=parts[0].dataset_name,
            split=parts[0].split,
            subset=[p.subset for p in parts],
        )
        self.parts = parts
        self._places = [(p, i) for p in parts for i in range(len(p))]

    def load(self) -> list[Row]:
        """The parts' rows, one after another."""
        return [row for part in self.parts for row in part.load()]

    def get_prompt(self, index: int) -> str:
        """The prompt of the row in its part."""
        part, i = self._places[index]
        return part.get_prompt(i)

    def evaluate_prediction(self, index: int, prediction: str) -> tuple[bool, float | None]:
        """The part's own judgement."""
        part, i = self._places[index]
        return part.evaluate_prediction(i, prediction)

    def __len__(self) -> int:
        return len(self._places)

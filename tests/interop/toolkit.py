"""haerae-evaluation-toolkit's interfaces for datasets, rebuilt: a package in a test's folder.

What a dataset module meets there: `llm_eval.datasets.base.BaseDataset` (abstract, `load()` must be
written), the registry and its decorator in `llm_eval.datasets`, and `llm_eval.utils.logging`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import ROOT, child_environment

FILES = {
    "llm_eval/__init__.py": "",
    "llm_eval/utils/__init__.py": "",
    "llm_eval/utils/logging.py": '''
import logging
import sys


def get_logger(name="llm_eval", level=logging.INFO):
    """A logger that writes to stderr."""
    logger = logging.getLogger(name)
    if not logger.handlers:
        logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.setLevel(level)
    return logger
''',
    "llm_eval/datasets/__init__.py": '''
from typing import Dict, Type

from .base import BaseDataset

DATASET_REGISTRY: Dict[str, Type[BaseDataset]] = {}


def register_dataset(name: str):
    """Class decorator; a name is taken once."""

    def wrapper(cls):
        if name in DATASET_REGISTRY:
            raise ValueError(f"Dataset '{name}' already registered.")
        DATASET_REGISTRY[name] = cls
        return cls

    return wrapper


def load_datasets(name, subset=None, split="test", **kwargs):
    """An instance of a registered dataset."""
    if name not in DATASET_REGISTRY:
        raise ValueError(f"Unknown dataset: {name}. Available: {list(DATASET_REGISTRY)}")
    return DATASET_REGISTRY[name](dataset_name=name, subset=subset, split=split, **kwargs)
''',
    "llm_eval/datasets/base.py": '''
from abc import ABC, abstractmethod
from typing import Any, Dict, List, Optional, Union


class BaseDataset(ABC):
    """What every dataset there derives from."""

    def __init__(
        self,
        dataset_name: str,
        split: str = "test",
        subset: Optional[Union[str, list]] = None,
        base_prompt_template: Optional[str] = None,
        **kwargs,
    ):
        self.dataset_name = dataset_name
        self.split = split
        self.subset = subset
        self.base_prompt_template = base_prompt_template
        self.kwargs = kwargs

    @abstractmethod
    def load(self) -> List[Dict[str, Any]]:
        """[{"input", "reference", ...}]"""

    def get_raw_samples(self) -> Any:
        raise NotImplementedError("get_raw_samples() is not implemented.")

    def info(self) -> Dict[str, Any]:
        return {"dataset_name": self.dataset_name, "split": self.split, "subset": self.subset}
''',
}
RUN = """
import importlib.util, json, sys
from pathlib import Path
ours = Path(sys.argv[1])
sys.path[:] = [p for p in sys.path if Path(p or ".").resolve() != ours]
import llm_eval.datasets
assert Path(llm_eval.__file__).resolve().is_relative_to(Path(sys.argv[2]).resolve()), llm_eval
assert importlib.util.find_spec("hret_agents") is None
spec = importlib.util.spec_from_file_location("llm_eval.datasets.dropped_in", sys.argv[3])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
from llm_eval.datasets import DATASET_REGISTRY, load_datasets
(name,) = DATASET_REGISTRY
dataset = load_datasets(name, **json.loads(sys.argv[4]))
print(json.dumps({"name": name, "rows": dataset.load(), "info": dataset.info(),
                  "raw": len(dataset.get_raw_samples())}, ensure_ascii=False))
"""


def install(folder: Path) -> Path:
    """The toolkit's package in `folder`."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


def loaded(toolkit: Path, module: Path, home: Path, **options: Any) -> dict[str, Any]:
    """What the toolkit makes of a module that was dropped in, in a process without our package."""
    environment = child_environment(home)
    paths = [str(toolkit), environment["PYTHONPATH"]]
    home.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(ROOT), str(toolkit), str(module), json.dumps(options)],
        env=environment | {"PYTHONPATH": os.pathsep.join(paths)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found

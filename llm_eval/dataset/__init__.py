"""Datasets: the base class, the registry, ports, and the way from a name to rows.

    from llm_eval.dataset import BaseDataset, register_dataset, load_datasets, dataset_class

`llm_eval.datasets` is the same package.
"""

from __future__ import annotations

from llm_eval.dataset.base import DATASETS, BaseDataset, register_dataset
from llm_eval.dataset.resolve import dataset_class, load_datasets

__all__ = ["DATASETS", "BaseDataset", "dataset_class", "load_datasets", "register_dataset"]

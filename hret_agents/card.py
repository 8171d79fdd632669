"""The dataset card of a port: what it is, where it came from, what was checked, how to use it."""

from __future__ import annotations

from typing import Any

from hret_agents.plan.records import Plan
from llm_eval import prompts
from llm_eval.dataset.spec import Manifest

OPEN_LICENCES = (
    "mit",
    "apache-2.0",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "odc-by",
    "odbl",
    "pddl",
    "openrail",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "cdla-sharing-1.0",
    "gpl-3.0",
    "lgpl-3.0",
    "agpl-3.0",
    "unlicense",
    "wtfpl",
    "isc",
    "afl-3.0",
    "gfdl",
    "c-uda",
)
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(manifest: Manifest, plan: Plan) -> str:
    """The text of README.md, front matter and all."""
    from huggingface_hub import DatasetCardData

    data = DatasetCardData(
        language=[manifest.target_lang],
        license=manifest.licence or "unknown",
        multilinguality=["monolingual"],
        size_categories=[_size(manifest.rows[0])],
        task_categories=_categories(plan),
        tags=["machine-translated", "hret-agents"],
        source_datasets=[manifest.source] if "/" in manifest.source else None,
        configs=_configs(manifest),
        pretty_name=manifest.slug,
    )
    body = prompts.rendered("card.j2", manifest=manifest, plan=plan, rows=manifest.rows)
    return f"---\n{data.to_yaml(line_break=chr(10))}\n---\n\n{body}"


def _configs(manifest: Manifest) -> list[dict[str, Any]]:
    return [
        {
            "config_name": subset,
            "data_files": [
                {"split": split, "path": f"data/{subset}/{split}-*.parquet"} for split in splits
            ],
        }
        for subset, splits in manifest.splits.items()
    ]


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "1M<n<10M")


def _categories(plan: Plan) -> list[str]:
    kind = {"multiple_choice": "multiple-choice", "ungraded": "text-generation"}
    return [kind.get(plan.task.kind, "question-answering")]

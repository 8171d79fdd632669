"""The tool `dataset_downloader`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.ask import models_asked
from hret_agents.job import Listener, PortJob
from hret_agents.steps import saved
from hret_agents.steps.prepare import (
    check_names,
    locked,
    placed,
    planned,
    prepare,
    with_cost,
    writable,
)
from hret_agents.steps.state import Port
from hret_agents.tools.base import StepTool
from llm_eval.dataset.ports import DEFAULT_ROOT
from llm_eval.evaluator import names_of


def _maybe(kind: str, description: str) -> dict[str, Any]:
    return {"type": kind, "description": description, "nullable": True}


class DatasetDownloader(StepTool):
    """Opens a dataset of the Hub or of this machine and plans its port.

    Args:
        output_dir: the folder that ports go to.
    """

    name = "dataset_downloader"
    description = (
        "Downloads a Hugging Face dataset (or opens a local file or folder) and plans its "
        "translation. All that is to be said of the port is said here; calling it again plans the "
        "port anew. Returns the path that names this port for the other tools."
    )
    inputs = {
        "dataset_name": {"type": "string", "description": "OWNER/NAME on the Hub, or a path."},
        "subset": _maybe("string", "One subset, or a,b."),
        "split": _maybe("string", "One split, or a,b; all if left out."),
        "revision": _maybe("string", "Branch, tag or commit."),
        "target_lang": _maybe("string", "Language code, ko if left out."),
        "all_subsets": _maybe("boolean", "Take every subset."),
        "register": _maybe(
            "string", "Of Korean: formal (합쇼체), polite (해요체), plain (해라체)."
        ),
        "style": _maybe("string", "A sentence on style for the translator."),
        "glossary": _maybe("string", "A CSV or JSON file of terms and their translations."),
        "limit": _maybe("integer", "Only the first N rows of each split."),
        "keep_columns": _maybe("boolean", "Keep the columns' own names."),
        "module_model": _maybe("string", "A model that writes the module; else a template does."),
    }
    stage = "download"

    def __init__(self, output_dir: str = DEFAULT_ROOT) -> None:
        super().__init__()
        self.output_dir = output_dir

    def forward(
        self,
        dataset_name: str,
        subset: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        target_lang: str | None = None,
        all_subsets: bool | None = None,
        register: str | None = None,
        style: str | None = None,
        glossary: str | None = None,
        limit: int | None = None,
        keep_columns: bool | None = None,
        module_model: str | None = None,
    ) -> str:
        """Open and plan; the path of the port's state.

        Raises:
            UserError: there is no such dataset, subset, split or option; or something else of the
                same port is at work on it.
        """
        said = {
            "subsets": names_of(subset),
            "splits": names_of(split),
            "revision": revision,
            "target_lang": target_lang,
            "all_subsets": all_subsets,
            "register": register,
            "style": style,
            "glossary": Path(glossary) if glossary else None,
            "limit": limit,
            "keep_columns": keep_columns,
            "module_model": module_model,
        }
        fields = {"output_dir": Path(self.output_dir), **self.lent.fields, **self.lent.keys()}
        fields |= {name: value for name, value in said.items() if value}
        if limit is not None:
            fields["limit"] = limit  # 0 is a mistake to be told
        job = PortJob(dataset=dataset_name, **fields)
        for model in models_asked(job).values():
            self.lent.priced(model)
        with locked(self.open(job, self.lent.listener, free=False)) as port:
            self.lent.seen(port)
            return saved.save(port)

    def open(self, job: PortJob, listener: Listener, *, free: bool = True) -> Port:
        """The opened port. `free`: with every check that can be made before anything is paid."""
        if free:
            return prepare(job, listener)
        from hret_agents.source import open_source

        check_names(job)
        writable(job.output_dir)
        source, left = open_source(job), self.lent.left()
        asking = job if left is None else replace(job, max_cost=left)
        plan, asker = planned(asking, source, listener)
        port = placed(job, source, plan)
        self.lent.seen(port)
        return with_cost(port, asker)

"""The tool `dataset_downloader`."""

from __future__ import annotations

from pathlib import Path

from hret_agents.job import Listener, PortJob, silent
from hret_agents.steps import saved
from hret_agents.steps.prepare import check_names, placed, plan_of, prepare, writable
from hret_agents.steps.state import Port
from hret_agents.tools.base import StepTool
from llm_eval import settings


class DatasetDownloader(StepTool):
    """Opens a dataset of the Hub or of this machine and plans its port."""

    name = "dataset_downloader"
    description = (
        "Downloads a Hugging Face dataset (or opens a local file or folder) and plans its "
        "translation. Returns the path that names this port for the other tools."
    )
    inputs = {
        "dataset_name": {"type": "string", "description": "OWNER/NAME on the Hub, or a path."},
        "subset": {"type": "string", "description": "One subset, or a,b.", "nullable": True},
        "split": {
            "type": "string",
            "description": "One split, or a,b; all if left out.",
            "nullable": True,
        },
        "revision": {"type": "string", "description": "Branch, tag or commit.", "nullable": True},
        "target_lang": {
            "type": "string",
            "description": "Language code, ko if left out.",
            "nullable": True,
        },
    }
    stage = "download"

    def __init__(self, output_dir: str = "generated_datasets") -> None:
        super().__init__()
        self.output_dir = output_dir

    def forward(
        self,
        dataset_name: str,
        subset: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        target_lang: str | None = None,
    ) -> str:
        """Open and plan; the path of the port's state."""
        job = PortJob(
            dataset=dataset_name,
            subsets=tuple(subset.split(",")) if subset else (),
            splits=tuple(split.split(",")) if split else (),
            revision=revision,
            target_lang=target_lang or "ko",
            hf_token=settings.load().hf_token,
            output_dir=Path(self.output_dir),
        )
        return saved.save(self.open(job, silent, free=False))

    def open(self, job: PortJob, listener: Listener, *, free: bool = True) -> Port:
        """The opened port. `free`: with every check that can be made before anything is paid."""
        if free:
            return prepare(job, listener)
        from hret_agents.source import open_source

        check_names(job)
        writable(job.output_dir)
        source = open_source(job)
        return placed(job, source, plan_of(job, source))

"""The tool `dataset_translator`."""

from __future__ import annotations

from dataclasses import replace

from hret_agents.job import Listener
from hret_agents.steps.state import Port
from hret_agents.steps.translate import translate
from hret_agents.tools.base import StepTool
from llm_eval.errors import UserError


class DatasetTranslator(StepTool):
    """Translates an opened dataset.

    Args:
        batch_size: most rows in one request.
        max_retries: further attempts of what failed; 0 is legal.
    """

    name = "dataset_translator"
    description = (
        "Translates a dataset that dataset_downloader has opened, checks every row, and keeps what "
        "was translated. Returns the path that names this port."
    )
    inputs = {
        "port": {"type": "string", "description": "What dataset_downloader returned."},
        "model": {"type": "string", "description": "The translating model.", "nullable": True},
    }
    stage = "translate"

    def __init__(self, batch_size: int | None = None, max_retries: int | None = None) -> None:
        super().__init__()
        if batch_size is not None and batch_size < 1:
            raise UserError(
                f"batch_size {batch_size} is less than 1", hint="leave it out for the default"
            )
        if max_retries is not None and max_retries < 0:
            raise UserError(
                f"max_retries {max_retries} is less than 0", hint="leave it out for the default"
            )
        self.batch_size, self.max_retries = batch_size, max_retries

    def forward(self, port: str, model: str | None = None) -> str:
        """Translate; the same path.

        Raises:
            UserError: no such port is under way, or it cannot be translated; what was paid for by
                then is kept.
        """
        changes = {"model": model} if model else {}
        self._through(port, **changes)
        return port

    def apply(self, port: Port, listener: Listener) -> Port:
        """Translate with this tool's settings, where it has its own."""
        job = port.job
        if self.batch_size is not None:
            job = replace(job, batch_size=self.batch_size)
        if self.max_retries is not None:
            job = replace(job, max_retries=self.max_retries)
        return translate(replace(port, job=job), listener)

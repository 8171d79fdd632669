"""What a port is asked to do, what it tells while it runs, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_eval.records import Usage
from llm_eval.secret import Secret


@dataclass(frozen=True, kw_only=True)
class PortJob:
    """A port, described. None and () mean "not said": a default or the data decides.

    Args:
        dataset: a Hub id, a local file or folder, or "sample".
        subsets, splits: what to port; no split means all of them.
        model: the translator: a model's name, `openai:NAME`, a backend (`vllm:PATH`,
            `huggingface:PATH`, `litellm:PROVIDER/NAME`), `memory` or `memory:FILE`.
        model_params: parameters of the backends that the job names (dtype, engine arguments, ...).
        rpm, tpm: most requests and tokens a minute.
        max_cost: USD that this run may spend; it stops before the request that might exceed it.
        batch: translate through the Batch API.
        suggestions: show the model similar texts that were translated before.
        plan: a plan file to go by.
        glossary: a CSV or JSON file of terms; they stand over the plan's own.
        register, style: over the plan's: formal, polite or plain Korean; a sentence for the prompt.
        limit: only the first N rows of each split.
        output_dir: where the port's folder goes.
        plan_model: a model that may refine the inferred plan.
        module_model: a model that writes the dataset module; a template does without one.
        guide_prompt: the prompt it is asked with; a file's text, or None for the shipped one.
            Without a module model, the translator is asked with it.
        module_repairs: further tries that it has when its module does not hold.
        push, public, repo_id, accept_license: publishing.
        create_pr, push_revision: push as a pull request; push to this branch.
        evaluate: backends to evaluate on the fresh port (`oracle`, `openai:NAME`).
    """

    dataset: str
    subsets: tuple[str, ...] = ()
    all_subsets: bool = False
    splits: tuple[str, ...] = ()
    revision: str | None = None
    target_lang: str = "ko"
    model: str | None = None
    model_params: Mapping[str, Any] = field(default_factory=dict)
    api_base: str | None = None
    api_key: Secret | None = None
    hf_token: Secret | None = None
    concurrency: int | None = None
    batch_size: int | None = None
    max_retries: int | None = None
    rpm: float | None = None
    tpm: float | None = None
    max_cost: float | None = None
    batch: bool = False
    suggestions: bool = True
    plan: Path | None = None
    glossary: Path | None = None
    register: str | None = None
    style: str | None = None
    keep_columns: bool = False
    plan_model: str | None = None
    module_model: str | None = None
    guide_prompt: str | None = None
    module_repairs: int = 3
    limit: int | None = None
    output_dir: Path = Path("generated_datasets")
    push: bool = False
    public: bool = False
    repo_id: str | None = None
    accept_license: bool = False
    create_pr: bool = False
    push_revision: str | None = None
    evaluate: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stage:
    """An event: a stage of a port has begun. `what` is for people to read."""

    name: str
    what: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """An event: so many rows of so many are done, so many of them failed, and what was spent.

    `cost_usd` is None where the model's price is unknown.
    """

    done: int
    total: int
    failed: int
    usage: Usage
    cost_usd: float | None = None


Event = Stage | Rows
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""


@dataclass(frozen=True, kw_only=True)
class PortResult(Mapping[str, Any]):
    """A finished port: attributes, and the same as a mapping (`result["module_path"]`).

    Paths are absolute. `module_path` is None when no row passed. `rows` counts `total`, `passed`,
    `failed`, `graded` (passed rows whose right answer is known), `from_memory` (answered without a
    request), and `kept_cells` (in the target language already). `checks` counts findings by id,
    `usage` what this run spent; of that, `asked` is what models other than the translator were
    paid, by name, and `estimated` what the translator's requests were thought to cost, by the dry
    run's formula. `cost_usd` is None where a model's price is unknown.
    `module_way` is "template" or "model:NAME", `module_tries` why its earlier modules were refused.
    `evaluations` holds metrics by model, or an "error".
    """

    slug: str
    path: str
    module_path: str | None
    data_path: str
    plan_path: str
    failed_path: str
    checks_path: str
    manifest_path: str | None
    card_path: str | None
    rows: dict[str, int]
    checks: dict[str, int]
    failures: list[str]
    model: str
    module_way: str | None
    usage: dict[str, int]
    cost_usd: float | None
    seconds: float
    estimated: dict[str, int] = field(default_factory=dict)
    asked: dict[str, dict[str, int]] = field(default_factory=dict)
    module_tries: list[str] = field(default_factory=list)
    report_path: str | None = None
    repo_id: str | None = None
    url: str | None = None
    evaluations: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: str) -> Any:
        if key in self.__dataclass_fields__:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.__dataclass_fields__)

    def __len__(self) -> int:
        return len(self.__dataclass_fields__)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready dict."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

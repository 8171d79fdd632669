"""One evaluation from names to result: load → prompt → generate → score → sum up.

What is named is looked up, and what an earlier session asked is compared, before anything is
asked. The loop itself is `llm_eval.runs.work`; what it writes stands in the run's folder.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_eval.aio import run_sync
from llm_eval.dataset import load_datasets
from llm_eval.dataset.adapt import Samples, samples_of
from llm_eval.dataset.base import BaseDataset
from llm_eval.errors import HretError, UserError
from llm_eval.evaluation import BaseEvaluator, load_evaluator
from llm_eval.models import BaseModel, as_backend, require
from llm_eval.models.multi import MultiModel, about_of, roles_of
from llm_eval.records import Prompt, Sample
from llm_eval.results import EvaluationResult
from llm_eval.runs.asked import agree, hash_of, judged_by, made_of, port_of, public, record
from llm_eval.runs.asking import Asking
from llm_eval.runs.choosing import alike, chosen, fitting
from llm_eval.runs.folder import JOURNAL, RunFolder, unwritable
from llm_eval.runs.journal import Journal, Listed
from llm_eval.runs.meter import Meter
from llm_eval.runs.replies import Replies
from llm_eval.runs.store import Store
from llm_eval.runs.work import GRACE, Progress, Work
from llm_eval.scaling_methods import SCALING_METHODS

logger = logging.getLogger(__name__)
Model = str | BaseModel | Callable[[str], Any]
Dataset = str | type[BaseDataset] | BaseDataset
Role = str | BaseModel | Mapping[str, Any]
_NEEDS = {"logprob": "logprobs", "constrained": "constrained"}


@dataclass(slots=True)
class _Ready:
    """A dataset, its samples and a method, which fit one another."""

    dataset: BaseDataset
    samples: Samples
    method: BaseEvaluator
    about: dict[str, Any]
    notes: list[str]
    images: bool = False


@dataclass(frozen=True, kw_only=True)
class PipelineRunner:
    """A run, described; `run()` does it. The names are haerae-evaluation-toolkit's.

    Args:
        resume: "last", an id or a folder: go on with that run, which asked the same. What failed
            in transport is asked again.
        sample_ids: only these samples.
        limit: the first so many of them.
        max_failures: end when more samples than that have failed; below 1, a share of them all.
        cache: keep replies for other runs, and take those kept. None: where none is drawn by lot.
        journal: False leaves no folder on disk, so that nothing can be resumed.
        judge_model, reward_model: beside the model; the evaluation method asks the first, and each
            reply gets a `reward` from the second.
        listener: called with (samples done, samples in all) as samples finish.
        watch: told now and then how far it is.
    """

    dataset_name: Dataset
    model_backend_name: Model
    subset: str | Sequence[str] | None = None
    split: str | None = None
    evaluation_method_name: str | None = None
    scaling_method_name: str | None = None
    dataset_params: Mapping[str, Any] = field(default_factory=dict)
    model_backend_params: Mapping[str, Any] = field(default_factory=dict)
    evaluator_params: Mapping[str, Any] = field(default_factory=dict)
    judge_model: Role | None = None
    judge_params: Mapping[str, Any] = field(default_factory=dict)
    reward_model: Role | None = None
    reward_params: Mapping[str, Any] = field(default_factory=dict)
    limit: int | None = None
    sample_ids: Sequence[str] | None = None
    resume: str | Path | None = None
    max_failures: float | None = None
    cache: bool | None = None
    journal: bool = True
    listener: Callable[[int, int], None] | None = None
    watch: Callable[[Progress], None] | None = None

    def run(self) -> EvaluationResult:
        """The result; blocks until it is there.

        On Ctrl-C what is being answered is waited for, up to 30 s; a second one ends that.
        """
        return run_sync(self.arun(), grace=GRACE + 5)

    async def arun(self) -> EvaluationResult:
        """The result. Everything named is looked up before anything is loaded or asked."""
        self._refuse()
        started, named = time.monotonic(), self.evaluation_method_name
        method = load_evaluator(named, **self.evaluator_params) if named else None
        given = as_backend(self.model_backend_name, self.model_backend_params)
        model = self._with_roles(given)
        generator = (given.generate_model or given) if isinstance(given, MultiModel) else given
        earlier = RunFolder.of(self.resume) if self.resume is not None else None
        try:
            ready = await asyncio.to_thread(self._ready, method, generator)
            asked = await asyncio.to_thread(self._asked, ready, model, generator)
            if earlier is not None:
                agree(earlier.id, earlier.asked()["asked"], asked, partly=True)
            async with Meter(model) as meter:  # what is asked to see whether it can is paid as well
                await self._checked(ready, model, generator)
                asked["about"] = about_of(model)
                work = self._opened(ready, model, generator, earlier, asked, meter)
                await self._worked(work)
                return self._result(ready, work, generator, started)
        finally:
            if earlier is not None:
                earlier.close()

    def _refuse(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UserError(
                f"limit {self.limit} is less than 1", hint="leave it out for all samples"
            )
        most = self.max_failures
        if most is not None and (isinstance(most, bool) or most < 0 or (most > 1 and most % 1)):
            raise UserError(
                f"max_failures={most!r} is no number of samples, and no share of them",
                hint="for example 10, or 0.05",
            )
        if self.scaling_method_name is not None:
            SCALING_METHODS.get(self.scaling_method_name)
            raise UserError(
                f"scaling_method={self.scaling_method_name!r} is not built yet", hint="leave it out"
            )
        if self.evaluator_params and not self.evaluation_method_name:
            raise UserError(
                f"evaluator_params {sorted(self.evaluator_params)} belong to no method",
                hint="name one by evaluation_method",
            )
        for role in ("judge", "reward"):
            if getattr(self, f"{role}_params") and getattr(self, f"{role}_model") is None:
                raise UserError(f"{role}_params belong to no {role}_model", hint="name one")
        if self.resume is not None and not self.journal:
            raise UserError(
                "resume goes on with a journal, and journal=False keeps none",
                hint="leave one of them out",
            )
        for name in ("name", "subset", "split"):
            if name in self.dataset_params:
                raise UserError(f"dataset_params holds {name!r}", hint=f"pass it as {name}=")

    def _with_roles(self, generator: BaseModel) -> BaseModel:
        roles = {}
        for role, params in (("judge", self.judge_params), ("reward", self.reward_params)):
            given = getattr(self, f"{role}_model")
            if given is not None:
                named = {"name": given, "params": dict(params)}
                roles[f"{role}_model"] = named if isinstance(given, str) else given
                if params and not isinstance(given, str):
                    raise UserError(
                        f"{role}_params come too late for a model that is made already",
                        hint="pass them where it is made, or name the model",
                    )
        if not roles:
            return generator
        own: dict[str, Any] = {"generate_model": generator}
        if isinstance(generator, MultiModel):
            own = {f"{role}_model": model for role, model in generator.roles.items()}
        return MultiModel(**{**own, **roles})

    def _ready(self, method: BaseEvaluator | None, generator: BaseModel) -> _Ready:
        dataset = load_datasets(self.dataset_name, self.subset, self.split, **self.dataset_params)
        samples = chosen(samples_of(dataset), self.sample_ids, self.limit)
        about = _info(dataset)
        method, note = fitting(method, dataset, samples, about)
        if needed := _NEEDS.get(method.scoring):
            require(generator, needed, f"evaluation method {method.name!r}")
        method.fits(samples)
        generator.fits(samples)
        return _Ready(dataset, samples, method, about, [note] if note else [])

    def _asked(self, ready: _Ready, model: BaseModel, generator: BaseModel) -> dict[str, Any]:
        """What is asked, but for what a model only knows once it is loaded."""
        method, made = ready.method, made_of(generator, self.model_backend_params)
        for role, params in (("judge", self.judge_params), ("reward", self.reward_params)):
            if beside := roles_of(model).get(role):
                made |= made_of(beside, params, role)

        def prompts() -> Iterator[tuple[Sample, Prompt]]:
            for sample in ready.samples:
                ready.images = ready.images or bool(sample.images)
                yield sample, method.asked(sample)

        return {
            "model": generator.label,
            "dataset": _name_of(self.dataset_name),
            **{name: ready.about.get(name) for name in ("subset", "split")},
            "port": port_of(ready.dataset),
            "evaluation_method": method.name,
            "evaluator_params": public(self.evaluator_params),
            "scoring": method.scoring,
            "replies": method.replies,
            "samples": len(ready.samples),
            "prompts": hash_of(prompts()),
            **made,
            **judged_by(ready.dataset, method),
        }

    async def _checked(self, ready: _Ready, model: BaseModel, generator: BaseModel) -> None:
        """The model, loaded, can do what is wanted of it."""
        await model.check()
        if ready.images:
            require(generator, "images", "a dataset with images")
        if ready.method.scoring == "logprob":
            await model.probe()
        ready.method.model = model
        if note := alike(generator, ready.method):
            ready.notes.append(note)

    def _opened(
        self,
        ready: _Ready,
        model: BaseModel,
        generator: BaseModel,
        earlier: RunFolder | None,
        asked: Mapping[str, Any],
        meter: Meter,
    ) -> Work:
        """What there is to do, with a journal to write and what an earlier session did."""
        asking = Asking(model, generator, ready.method)
        kept = Replies() if asking.keep(self.cache) else None
        if earlier is not None:
            agree(earlier.id, earlier.asked()["asked"], asked)
        folder = earlier or self._new_folder(asked, ready.notes)
        journal: Journal | Listed = Listed(ready.samples, ready.method.least)
        if folder is not None:
            path = folder.path / JOURNAL
            try:
                journal = Journal(path, ready.samples, ready.method.least)
            except OSError as e:
                raise unwritable(path, e, folder.id) from None
        most, count = self.max_failures, len(ready.samples)
        work = Work(
            samples=ready.samples,
            model=model,
            method=ready.method,
            dataset=ready.dataset,
            store=Store(journal, folder, kept),
            asking=asking,
            meter=meter,
            rewards="reward" in roles_of(model),
            most_failures=most * count if most is not None and 0 < most < 1 else most,
            listener=self.listener,
            watch=self.watch,
        )
        if isinstance(journal, Journal):
            work.go_on(journal)
        return work

    def _new_folder(self, asked: Mapping[str, Any], notes: list[str]) -> RunFolder | None:
        if not self.journal:
            return None
        try:
            folder = RunFolder.make()
        except OSError as e:
            notes.append(f"the run is kept in memory alone: {e}")
            logger.warning(notes[-1])
            return None
        folder.begin(record(asked))
        return folder

    async def _worked(self, work: Work) -> None:
        """Do the work; what ends it early says how to go on."""
        try:
            try:
                work.store.begin()
                await work.run()
            finally:
                await work.store.close(work.meter.spent())
        except HretError as e:
            if isinstance(e, UserError):
                e.caller_only = True  # samples are paid for by now: another try would pay again
            raise _going_on(e, work.store.folder) from None
        except BaseException as e:  # a bug, or Ctrl-C: what was answered is kept
            if work.store.folder is not None:
                e.add_note(_kept(work.store.folder.id))
            raise

    def _result(
        self, ready: _Ready, work: Work, generator: BaseModel, started: float
    ) -> EvaluationResult:
        method, journal, folder = ready.method, work.store.journal, work.store.folder
        spent = journal.earlier + work.meter.spent()
        shared = "usage and cost hold what another run asked the model meanwhile"
        notes = [*ready.notes, work.store.note, shared if work.meter.shared else ""]
        about = about_of(work.model)
        info = {
            **ready.about,
            "dataset": _name_of(self.dataset_name),
            "model": generator.label,
            "evaluation_method": method.name,
            "scoring": method.scoring,
            **({"asked": about} if about else {}),
            **generator.diagnostics,
            **({"replies": method.replies} if method.replies > 1 else {}),
            **({"note": "; ".join(filter(None, notes))} if any(notes) else {}),
            "usage": spent.usage.to_dict(),
            "cost_usd": spent.cost_usd,
            "cached": sum(work.cached),
            **({"run": folder.id, "folder": str(folder.path)} if folder else {}),
            "seconds": round(time.monotonic() - started, 3),
        }
        result = EvaluationResult(work.totals.metrics(), info, journal.rows())
        if folder is not None:
            folder.end({"metrics": result.metrics, "info": info})
        return result


def _info(dataset: BaseDataset) -> dict[str, Any]:
    try:
        return dict(dataset.info())
    except HretError:
        raise
    except Exception as e:  # a module's code may raise anything; nothing was asked yet
        raise UserError(
            f"{type(dataset).__name__}.info() failed: {type(e).__name__}: {e}",
            hint="mend the module's info()",
        ) from e


def _going_on(error: HretError, folder: RunFolder | None) -> HretError:
    """The error, whose hint says how the run goes on, once."""
    if folder is not None and folder.id not in error.hint:
        kept = _kept(folder.id)
        error.hint = f"{error.hint}; {kept}" if error.hint else kept
        error.args = (f"{error.message}\n  → {error.hint}",)
    return error


def _kept(run: str) -> str:
    return f"what was answered is kept: run this again with resume={run!r} (--resume {run})"


def _name_of(dataset: Dataset) -> str:
    if isinstance(dataset, str):
        return dataset
    return dataset.__name__ if isinstance(dataset, type) else type(dataset).__name__

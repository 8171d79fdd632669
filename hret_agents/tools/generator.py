"""The tool `module_generator`."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping, Sized
from dataclasses import replace
from pathlib import Path
from typing import Any

from hret_agents.ask import Asker, model_name
from hret_agents.job import Listener, silent
from hret_agents.module.author import TEMPLATE, Judge, Written, author
from hret_agents.module.guide import ROWS, Facts, guide_prompt, schema_text, table
from hret_agents.module.spec import class_name, spec_of
from hret_agents.plan.infer import infer_plan
from hret_agents.source import is_local, stem_of
from hret_agents.steps.state import Port
from hret_agents.steps.write import write_module
from hret_agents.tools.base import StepTool
from hret_agents.translators import DEFAULT_MODEL
from llm_eval import settings
from llm_eval.dataset.expect import expectations
from llm_eval.dataset.render import render
from llm_eval.dataset.spec import MODULE, ModuleSpec
from llm_eval.dataset.verify import verify
from llm_eval.dataset.ways import other_ways
from llm_eval.errors import UserError
from llm_eval.sandbox import Jail, JailError, SandboxUnavailable, layers

log = logging.getLogger(__name__)
_SUBSETS = {"default": ["test"]}
_ASSUMED = "Assumed, as no rows were given: the columns `question` and `answer`."
_ROWS = (
    "give some rows: [{'question': ..., 'answer': ...}, ...], or the same as JSON; of a DataFrame "
    "df.to_dict('records')"
)
_IMPORT = """import sys
from pathlib import Path
from llm_eval.dataset.ports import class_in
path = Path(sys.argv[1])
try:
    class_in(path.read_bytes(), path)
except Exception as e:  # a module may raise anything
    print(f"{type(e).__name__}: {e}", flush=True)
else:
    print("imported", flush=True)
"""


class ModuleGenerator(StepTool):
    """Writes the dataset module of a translated port, verifies it, and puts the port in its place.

    Args:
        guide_prompt: the prompt for a model that writes the module; it is asked then: `model`, else
            the job's module model, else the translator. In it `{dataset_name}`, `{dataset_schema}`,
            `{sample_data}` and `{base_class_definition}` are filled in.
        model: the model that writes the module (`NAME` or `openai:NAME`).
        max_repairs: further tries that it has when its module does not hold; after them, and
            without a model, the tested template writes it.

    Attributes:
        last: the module that was written last: its code, which way (`way`), and why tries before it
            were refused (`tries`). None before the first.

    Raises:
        UserError: `model` is no model's name, or `max_repairs` is less than 0.
    """

    name = "module_generator"
    description = (
        "Writes and verifies the Python dataset module of a translated port and saves the port. "
        "Returns the module's path."
    )
    inputs = {
        "port": {"type": "string", "description": "What dataset_translator returned."},
        "model": {
            "type": "string",
            "description": "A model that writes the module; a tested template does without one.",
            "nullable": True,
        },
    }
    stage = "module"

    def __init__(
        self,
        guide_prompt: str | None = None,
        model: str | None = None,
        max_repairs: int | None = None,
    ) -> None:
        super().__init__()
        if max_repairs is not None and max_repairs < 0:
            raise UserError(
                f"max_repairs {max_repairs} is less than 0", hint="leave it out for the default"
            )
        self.guide_prompt, self.max_repairs = guide_prompt, max_repairs
        self.model = None if model is None else model_name(model)
        self.last: Written | None = None

    def forward(self, port: str, model: str | None = None) -> str:
        """Write, verify, save; the module's path.

        Raises:
            UserError: no such port is under way, no row of it passed, or the module does not hold.
        """
        changes = {"module_model": model} if model else {}
        done = self._through(port, **changes)
        if done.manifest is None:
            raise UserError(
                f"no row of {done.slug} passed: there is no module", hint="see failed.jsonl"
            )
        return str(done.folder / "dataset.py")

    def apply(self, port: Port, listener: Listener) -> Port:
        """Write the module with this tool's settings, where it has its own."""
        own: dict[str, Any] = {
            "guide_prompt": self.guide_prompt,
            "module_model": self.model,
            "module_repairs": self.max_repairs,
        }
        named = {name: value for name, value in own.items() if value is not None}
        port = write_module(replace(port, job=replace(port.job, **named)), listener)
        if port.manifest is not None:
            code = (port.folder / MODULE).read_text("utf-8")
            tries = tuple(port.manifest.module_tries)
            self.last = Written(code, port.manifest.module_way, tries)
        return port

    def generate_module(self, dataset_info: Mapping[str, Any]) -> str:
        """The source of a module for `dataset_info`; `last` says which way it was written, and why.

        A model is asked if this tool has one, or the settings have a key. What it writes is
        verified in the sandbox: against the rows of `sample_data`, or where that holds none ("...")
        as far as it can be imported. Without a model, or when all its tries fail, the template
        writes it; with no rows, for the columns `question` and `answer`.

        Args:
            dataset_info: `name`, `schema` (a text, for the model), `sample_data` (a list of rows,
                or columns, or either as JSON).

        Raises:
            UserError: `sample_data` holds no rows but something else, or the model could not be
                asked.
        """
        name = str(dataset_info.get("name") or "dataset")
        facts, rows = _facts(name, dataset_info)
        tries: tuple[str, ...] = ()
        if asker := self._asker():
            written = self._by_model(asker, facts, rows)
            if written.code:
                self.last = written
                return written.code
            tries = written.tries
        code = render(facts.spec)
        if not facts.known:
            code = code.replace('"""\n', f'\n{_ASSUMED}\n"""\n', 1)
        self.last = Written(code, TEMPLATE, tries)
        for said in tries:
            log.warning("the module is the template's: %s", said)
        return code

    def _asker(self) -> Asker | None:
        """Who writes the module of `generate_module`: this tool's model, or the settings' own."""
        found = settings.load()
        if self.model is None and found.openai_api_key is None:
            return None
        return Asker(self.model or DEFAULT_MODEL)

    def _by_model(self, asker: Asker, facts: Facts, rows: list[dict[str, Any]]) -> Written:
        if not (found := layers()).enough:
            return Written("", TEMPLATE, (SandboxUnavailable(found).message,))
        with tempfile.TemporaryDirectory(prefix="hret-verify-") as folder:
            return author(
                asker,
                guide_prompt(facts, self.guide_prompt),
                _judge(Path(folder), facts.spec, rows),
                silent,
                spec=facts.spec,
                repairs=3 if self.max_repairs is None else self.max_repairs,
                verified="verified on the sample rows" if rows else "imported, never run on data",
            )


def _facts(name: str, info: Mapping[str, Any]) -> tuple[Facts, list[dict[str, Any]]]:
    """What is known of a dataset, and the rows given of it."""
    slug, sample, schema = f"{stem_of(name)}_ko", info.get("sample_data"), info.get("schema")
    rows, repo = _rows(sample), None if is_local(name) else name
    said = "" if schema is None else schema if isinstance(schema, str) else _json(schema)
    if not rows:
        spec = ModuleSpec(
            slug=slug,
            class_name=class_name(slug),
            source=name,
            lang="ko",
            repo=repo,
            subsets=_SUBSETS,
            task="text",
            question=[["question"]],
            answer=["answer"],
            answer_kind="text",
        )
        given = sample if isinstance(sample, str) else _json(sample)
        return Facts(name=name, schema=said, sample=given, spec=spec, known=False), []
    features = _table(rows).features
    plan = infer_plan(features, rows, source=name, target_lang="ko", keep_columns=True)
    spec = spec_of(plan, slug=slug, repo=repo, subsets=_SUBSETS)
    schema_said = said if said.strip(" .…") else schema_text(features, plan, rows)
    return Facts(name=name, schema=schema_said, sample=table(rows[:ROWS]), spec=spec), rows


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _rows(sample: Any) -> list[dict[str, Any]]:
    """The rows in what was given as sample data; none where it is nothing, or words."""
    if isinstance(sample, str):
        try:
            sample = json.loads(sample)
        except ValueError:
            return []
    if isinstance(sample, Mapping) and all(isinstance(v, list | tuple) for v in sample.values()):
        if len({len(values) for values in sample.values()}) == 1:
            columns = zip(*sample.values(), strict=True)
            sample = [dict(zip(sample, values, strict=True)) for values in columns]
    if sample is None or (isinstance(sample, Sized) and not len(sample)):
        return []
    if not isinstance(sample, list) or not all(isinstance(r, dict) and r for r in sample):
        raise UserError("dataset_info['sample_data'] holds something else than rows", hint=_ROWS)
    return sample


def _table(rows: list[dict[str, Any]]) -> Any:
    from datasets import Dataset

    try:
        return Dataset.from_list(rows)
    except (ValueError, TypeError, ArithmeticError) as e:
        said = " ".join(str(e).split())[:200]
        raise UserError(
            f"the rows of dataset_info['sample_data'] are not alike: {said}", hint=_ROWS
        ) from None


def _judge(folder: Path, spec: ModuleSpec, rows: list[dict[str, Any]]) -> Judge:
    """Runs a module in the sandbox: on the rows, as a port of them would; else it is imported."""
    module, (subset, (split,)) = folder / MODULE, next(iter(spec.subsets.items()))
    data = folder / "data" / subset / f"{split}-00000-of-00001.parquet"
    if rows:
        data.parent.mkdir(parents=True)
        _table(rows).to_parquet(data)

    def judge(code: str) -> str:
        module.write_text(code, encoding="utf-8")
        if not rows:
            return _import_fault(module)
        part = subset, split, len(rows), expectations([data], spec)
        ways = other_ways(spec, lambda *_: [data])
        return verify(module, spec.slug, [part], ways=ways, timeout=60.0, enforce=True).reason

    return judge


def _import_fault(module: Path) -> str:
    try:
        with Jail(_IMPORT, str(module), readable=[module]) as jail:
            said = jail.line().decode("utf-8", "replace").strip()
    except JailError as e:
        return f"the module cannot be imported: {e.message}"
    return "" if said == "imported" else f"the module cannot be imported: {said}"

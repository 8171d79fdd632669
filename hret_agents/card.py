"""The dataset card of a port: what it is, where it came from, what was checked, how to use it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from hret_agents.checks.says import CHECKS
from hret_agents.plan.records import Plan, TaskPlan
from hret_agents.spent import Spent
from hret_agents.translate.chat import LANGUAGES
from llm_eval import prompts
from llm_eval.dataset.spec import Manifest, with_rows

HUB = "https://huggingface.co/datasets"
OPEN_LICENCES = frozenset(
    "mit apache-2.0 afl-3.0 agpl-3.0 bsd bsd-2-clause bsd-3-clause bsd-3-clause-clear c-uda "
    "cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 "
    "cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 "
    "cdla-permissive-1.0 cdla-permissive-2.0 cdla-sharing-1.0 gfdl gpl-3.0 isc lgpl-3.0 odbl "
    "odc-by openrail pddl unlicense wtfpl".split()
)
# Known to the Hub too; whether a translation may be published is for a person to say.
_OTHER_LICENCES = frozenset(
    "artistic-2.0 bigcode-openrail-m bigscience-bloom-rail-1.0 bigscience-openrail-m bsl-1.0 cc "
    "cc-by-nc-nd-3.0 cc-by-nc-nd-4.0 cc-by-nd-4.0 creativeml-openrail-m deepfloyd-if-license "
    "ecl-2.0 epl-1.0 epl-2.0 etalab-2.0 eupl-1.1 gemma gpl gpl-2.0 lgpl lgpl-2.1 lgpl-lr llama2 "
    "lppl-1.3c mpl-2.0 ms-pl ncsa ofl-1.1 openrail++ osl-3.0 postgresql unknown zlib".split()
)
HUB_LICENCES = OPEN_LICENCES | _OTHER_LICENCES
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
    (100_000_000, "10M<n<100M"),
)
_TASKS: dict[str, tuple[list[str], list[str]]] = {
    "multiple_choice": (["multiple-choice", "question-answering"], ["multiple-choice-qa"]),
    "number": (["question-answering"], []),
    "math": (["question-answering"], []),
    "text": (["question-answering"], []),
    "code": (["text-generation"], []),
    "ungraded": (["text-generation"], []),
}
_NLI = frozenset({"entailment", "neutral", "contradiction", "not_entailment"})


def card(manifest: Manifest, plan: Plan, spent: Mapping[str, Spent] | None = None) -> str:
    """The text of README.md, front matter and all; the cost only where `spent` says it."""
    from huggingface_hub import DatasetCard

    body = prompts.rendered(
        "card.j2",
        manifest=manifest,
        plan=plan,
        rows=manifest.rows,
        title=title(manifest),
        link=_link(manifest),
        lang=LANGUAGES.get(manifest.target_lang, f"`{manifest.target_lang}`"),
        source_lang=LANGUAGES.get(manifest.source_lang, f"`{manifest.source_lang}`"),
        checks=[(name, *_meaning(name), count) for name, count in manifest.checks.items()],
        spent=[(name, *_figures(spent[name])) for name in sorted(spent or {}) if spent],
        first=json.dumps(
            next(iter(with_rows(manifest.splits) or manifest.splits)), ensure_ascii=False
        ),
        address=f"{HUB}/{manifest.repo}" if manifest.repo else "",
        key=re.sub(r"[^0-9A-Za-z]+", "-", (manifest.repo or manifest.slug).lower()).strip("-"),
        cell=cell,
        tex=tex,
    )
    head = metadata(manifest, plan).to_yaml(line_break="\n")
    return str(DatasetCard(f"---\n{head}\n---\n\n{body}"))


def metadata(manifest: Manifest, plan: Plan) -> Any:
    """The front matter (`huggingface_hub.DatasetCardData`), in values that the Hub knows."""
    from huggingface_hub import DatasetCardData

    by_model = manifest.translator != "memory"
    categories, ids = tasks(plan.task)
    return DatasetCardData(
        pretty_name=title(manifest),
        language=[manifest.target_lang.split("-")[0]],
        language_details=manifest.target_lang if "-" in manifest.target_lang else None,
        **_licence(manifest),
        annotations_creators=["found" if plan.task.answer else "no-annotation"],
        language_creators=["machine-generated" if by_model else "other"],
        multilinguality=["monolingual", "translation"],
        size_categories=[_size(manifest.rows[0])],
        source_datasets=[manifest.source] if "/" in manifest.source else None,
        task_categories=categories,
        task_ids=ids or None,
        tags=["machine-translated", "hret-agents"],
        configs=_configs(manifest),
    )


def title(manifest: Manifest) -> str:
    """The dataset's name for people.

    >>> from types import SimpleNamespace as Some
    >>> title(Some(source="org/quiz", slug="org__quiz__hard_ko", target_lang="ko"))
    'quiz (hard), in Korean'
    >>> title(Some(source="my quiz.jsonl", slug="my_quiz_ko", target_lang="ko"))
    'my_quiz, in Korean'
    """
    owner, _, name = manifest.source.rpartition("/")
    rest = manifest.slug.removesuffix(f"_{manifest.target_lang}")
    if owner:
        rest = rest.removeprefix(f"{owner}__{name}")
        rest = f"{name} ({rest.lstrip('_')})" if rest else name
    return f"{rest}, in {LANGUAGES.get(manifest.target_lang, manifest.target_lang)}"


def tasks(task: TaskPlan) -> tuple[list[str], list[str]]:
    """The Hub's task categories and task ids of what a port asks."""
    if task.fixed_choices:
        labels = {label.casefold().replace("-", "_") for label in task.fixed_choices}
        ids = ["multi-class-classification"] if len(labels) > 2 else []
        if "entailment" in labels and labels <= _NLI:
            ids = ["natural-language-inference"]
        return ["text-classification"], ids
    categories, ids = _TASKS[task.kind]
    if task.span and task.answer == task.span.text:
        return categories, ["extractive-qa"]
    if task.speaker and task.kind == "ungraded":
        return categories, ["conversational"]
    return categories, ids


def _licence(manifest: Manifest) -> dict[str, Any]:
    """The source's licence as the Hub takes it: one of its own ids, or "other" with a name."""
    said = [part.strip() for part in (manifest.licence or "unknown").split(",") if part.strip()]
    if set(said) <= HUB_LICENCES:
        return {"license": said[0] if len(said) == 1 else said}
    name = "-".join(re.sub(r"[^0-9a-z.+]+", "-", part.lower()).strip("-") for part in said)
    found = {"license": "other", "license_name": "the-source-s-own" if name == "other" else name}
    return found | ({"license_link": _link(manifest)} if _link(manifest) else {})


def _link(manifest: Manifest) -> str:
    """The page of the source on the Hub, at the revision that was ported; "" for a file."""
    if "/" not in manifest.source:
        return ""
    at = f"/tree/{manifest.revision}" if manifest.revision else ""
    return f"{HUB}/{manifest.source}{at}"


def _configs(manifest: Manifest) -> list[dict[str, Any]]:
    """A config a subset. Shards are told by their numbers: `test-*` would be `test-hard`'s too."""
    return [
        {
            "config_name": subset,
            "data_files": [
                {"split": split, "path": f"data/{subset}/{split}-?????-of-?????.parquet"}
                for split in splits
            ],
        }
        for subset, splits in with_rows(manifest.splits).items()
    ]


def _size(rows: int) -> str:
    return next((name for most, name in _SIZES if rows < most), "100M<n<1B")


def _meaning(check: str) -> tuple[str, str]:
    """(how grave, what it says) of a check; a failure of the model's server is none."""
    known = CHECKS.get(check)
    return (known.severity, known.says) if known else ("gate", "No translation was got.")


def _figures(said: Spent) -> tuple[int, int, str]:
    """(requests, tokens, USD) that a model was paid."""
    usd = f"{said.cost_usd:.4f} USD" if said.usage.requests > said.unpriced else ""
    if said.unpriced:
        usd = f"{usd} and {said.unpriced:,} requests of unknown price".removeprefix(" and ")
    return said.usage.requests, said.usage.prompt_tokens + said.usage.completion_tokens, usd


def cell(text: object) -> str:
    """`text` fit to stand in a cell of a Markdown table, word for word.

    >>> cell("a|b <i>"), cell("two\\nlines")
    ('a\\\\|b &lt;i>', 'two lines')
    """
    one_line = " ".join(str(text).split())
    return one_line.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;")


def tex(text: str) -> str:
    """`text` fit to stand in BibTeX.

    >>> print(tex("my_quiz & {more}"))
    my\\_quiz \\& more
    """
    return re.sub(r"([_&%#$])", r"\\\1", re.sub(r"[{}\\~^]", "", text))

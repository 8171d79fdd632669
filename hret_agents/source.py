"""Opening what is to be ported: a dataset on the Hub, a file or folder here, or the sample.

Whatever is missing is answered with what there is.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hret_agents.job import PortJob
from hret_agents.source_files import FORMATS, SPLITS, difference, files_of, read, split_in
from llm_eval.dataset.spec import sha256_of
from llm_eval.errors import AuthError, Unknown, UserError

if TYPE_CHECKING:
    from datasets import Dataset

SAMPLE = "sample"
_REPO = re.compile(r"(?:[A-Za-z0-9][\w.-]{0,95}/)?[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_ALSO_SPLITS = ("training", "testing", "evaluation")  # near a split's name, and meant so
_SAFE = re.compile(r"\w[\w .+-]*")


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened dataset: its rows by subset and split, memory-mapped.

    `revision` is the commit on the Hub, or a hash of the local files.
    """

    name: str
    stem: str
    revision: str | None
    licence: str | None
    features: Any
    data: dict[str, dict[str, Dataset]]
    local: bool = False

    @property
    def rows(self) -> int:
        """Rows in all."""
        return sum(len(d) for splits in self.data.values() for d in splits.values())

    @property
    def parts(self) -> Iterator[tuple[str, str, Dataset]]:
        """(subset, split, rows) of each part."""
        for subset, splits in self.data.items():
            for split, data in splits.items():
                yield subset, split, data


def open_source(job: PortJob) -> Source:
    """The source of a job.

    Raises:
        UserError: it is missing, gated, empty, no dataset, or more than one subset is meant.
    """
    import datasets

    datasets.disable_progress_bars()
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # what it would say, we say
    source = _local(job) if is_local(job.dataset) else _hub(job)
    if not source.data or source.rows == 0:
        raise UserError(f"{job.dataset!r} has no rows", hint="check --subset and --split")
    first = "/".join(next(source.parts)[:2])
    for subset, split, data in source.parts:
        if data.features != source.features:
            raise UserError(
                f"the columns of {subset}/{split} differ from those of {first}: "
                + difference(source.features, data.features),
                hint="port such subsets or splits one at a time",
            )
        if not _SAFE.fullmatch(subset) or not _SAFE.fullmatch(split):
            raise UserError(f"{subset!r}/{split!r} cannot be the name of a folder and a file")
    return source


def is_local(name: str) -> bool:
    """Does a name mean a file or folder here (or the sample), not a repo on the Hub?"""
    if name == SAMPLE or name.startswith((".", "/", "~/")):
        return True
    try:
        there = name != "" and Path(name).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # too long, no such user, a zero byte
        return False
    return there or Path(name).suffix in FORMATS


def stem_of(name: str) -> str:
    """What the slug of a port of `name` begins with; a name that could leave its folder is refused.

    >>> stem_of("HAERAE-HUB/QARV"), stem_of("./data/my quiz.jsonl")
    ('HAERAE-HUB__QARV', 'my_quiz')
    """
    if is_local(name) and name != SAMPLE:
        bare = Path(name).expanduser().resolve()
        stem = bare.stem if bare.suffix in FORMATS else bare.name
        stem = re.sub(r"[^\w.-]+", "_", stem).strip("._")
    else:
        stem = name.replace("/", "__")
        if not _REPO.fullmatch(name) or ".." in name or "--" in name:
            raise UserError(
                f"{name!r} is neither a file here nor a name that a repo can have",
                hint="a Hub dataset is OWNER/NAME, of letters, digits, '-', '_' and '.'",
            )
    if not stem:
        raise UserError(f"{name!r} gives no name for a folder", hint="rename the file")
    return stem


def _limited(data: Any, job: PortJob) -> Any:
    return data.select(range(min(job.limit, len(data)))) if job.limit is not None else data


# --- files ------------------------------------------------------------------------------------


def _local(job: PortJob) -> Source:
    if job.dataset == SAMPLE:
        path = Path(str(files("hret_agents") / "sample" / "quiz.jsonl"))
        name = SAMPLE
    else:
        path = Path(job.dataset).expanduser()
        name = path.resolve().name
    if not path.exists():
        raise UserError(f"there is no file or folder {job.dataset}", hint="check the path")
    found = {"test": [path]} if job.dataset == SAMPLE else files_of(path)
    subset = "default"
    _chosen("subset", job.subsets, [subset])
    if len(job.splits) > 1 and path.is_file():
        raise UserError("a file is one split", hint="name one split, or pass a folder of files")
    splits = {}
    one_file = path.is_file() and job.dataset != SAMPLE
    for split in _chosen("split", job.splits, found, one_file=one_file):
        paths = found.get(split) or next(iter(found.values()))
        splits[split] = _limited(read(paths), job)
    digest = hashlib.sha256("".join(sha256_of(p) for ps in found.values() for p in ps).encode())
    return Source(
        name=name,
        stem=SAMPLE if name == SAMPLE else stem_of(job.dataset),
        revision=digest.hexdigest()[:40],
        licence="apache-2.0" if name == SAMPLE else None,
        features=next(iter(splits.values())).features,
        data={subset: splits},
        local=True,
    )


def _chosen(
    kind: str, asked: Sequence[str], there: Iterable[str], *, one_file: bool = False
) -> Sequence[str]:
    """What was asked for, all of it there; everything when nothing was asked for.

    A single file has no split but the one its user names, unless that is a known one mistyped.
    """
    there = list(there)
    if one_file:
        for name in asked[:1]:
            told = name in (*there, *_ALSO_SPLITS) or split_in(name)
            if not told and difflib.get_close_matches(name.lower(), SPLITS, cutoff=0.75):
                raise Unknown(kind, name, SPLITS)
        return asked[:1] or there
    for name in asked:
        if name not in there:
            raise Unknown(kind, name, there)
    return asked or there


# --- the Hub ----------------------------------------------------------------------------------


def _hub(job: PortJob) -> Source:
    from datasets import get_dataset_config_names, get_dataset_split_names, load_dataset
    from huggingface_hub import HfApi

    stem = stem_of(job.dataset)
    token = job.hf_token.reveal() if job.hf_token else None
    with hub_errors(job.dataset):
        info = HfApi(token=token).dataset_info(job.dataset, revision=job.revision)
        common: dict[str, Any] = {"revision": info.sha, "token": token}
        there = get_dataset_config_names(job.dataset, **common)
    data: dict[str, dict[str, Any]] = {}
    for subset in _subsets(job, there):
        with hub_errors(job.dataset):
            splits = get_dataset_split_names(job.dataset, subset, **common)
        for split in _chosen("split", job.splits, splits):
            with hub_errors(job.dataset):
                rows = load_dataset(job.dataset, subset, split=split, **common)
            data.setdefault(subset, {})[split] = _limited(rows, job)
    first = next(d for splits in data.values() for d in splits.values())
    licence = getattr(info.card_data, "license", None)
    return Source(
        name=job.dataset,
        stem=stem,
        revision=info.sha,
        licence=", ".join(licence) if isinstance(licence, list) else licence or None,
        features=first.features,
        data=data,
    )


def _subsets(job: PortJob, there: Sequence[str]) -> Sequence[str]:
    if job.subsets:
        return _chosen("subset", job.subsets, there)
    if len(there) > 1 and not job.all_subsets:
        listed = ", ".join(there[:40]) + (", ..." if len(there) > 40 else "")
        raise UserError(
            f"{job.dataset} has {len(there)} subsets: {listed}",
            hint=f"name one or more (--subset {there[0]},{there[1]}), or take --all-subsets",
        )
    return there


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """What the Hub's clients raise, as sentences."""
    from huggingface_hub import errors as hub

    try:
        yield
    except UserError:
        raise
    except hub.GatedRepoError:
        raise AuthError(
            f"{name!r} is gated", hint="ask for access on its page, then set HF_TOKEN"
        ) from None
    except hub.RevisionNotFoundError:
        said = f"{name!r} has no such revision"
        raise UserError(said, hint="see the repo's branches and tags") from None
    except hub.RepositoryNotFoundError:
        raise UserError(
            f"no dataset {name!r} on the Hub, or it is private and HF_TOKEN may not see it",
            hint="check the name (OWNER/NAME) and HF_TOKEN; a local file needs its path",
        ) from None
    except hub.HfHubHTTPError as e:
        status = e.response.status_code if e.response is not None else 0
        if status in (401, 403):
            said = f"the Hub refused {name!r} ({status})"
            raise AuthError(said, hint="check HF_TOKEN and its rights") from None
        said = f"the Hub answered {status} for {name!r}"
        raise UserError(said, hint="try again later", caller_only=True) from None
    except Exception as e:  # datasets wraps what its readers and the network raise
        raise _other(name, e) from None


def _other(name: str, error: Exception) -> UserError:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if "gated" in text:
        return AuthError(f"{name!r} is gated", hint="ask for access on its page, then set HF_TOKEN")
    if re.search(r"connect|offline|resolve|reach|Max retries|timed out", text, re.I):
        return UserError(
            f"the Hub could not be reached for {name!r}",
            hint="check the connection, HF_ENDPOINT, and that HF_HUB_OFFLINE is not set",
            caller_only=True,
        )
    return UserError(
        f"{name!r} cannot be loaded as a dataset: {text[:300]}",
        hint="look at its files on the Hub: is there data of one kind in it?",
    )

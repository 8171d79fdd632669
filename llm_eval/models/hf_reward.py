"""A reward model of transformers, in this process; torch is loaded when it is needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from llm_eval.models.hf.asking import at_least, template_wanted
from llm_eval.models.hf.thread import Worker
from llm_eval.models.huggingface import source_of
from llm_eval.models.roles import BaseRewardModel
from llm_eval.records import Failure, Prompt

if TYPE_CHECKING:
    from llm_eval.models.hf.reward import RewardWork


class HuggingFaceReward(BaseRewardModel):
    """A model that classifies sequences, of the Hub or of a folder, as the judge of replies.

    A conversation and its reply are shown in the chat template; where there is none, as a pair of
    texts. What is longer than the context is a failure that names both lengths.

    Args:
        model_name_or_path: what to load (`model_name` is taken too).
        label: the class whose log-probability is the reward, by name or number, where the model has
            several; with one value, or of a model for regression, the value is the reward.
        tokenizer, dtype, device, device_map, revision, trust_remote_code, batch_size, max_length,
        apply_chat_template, chat_template_kwargs, system_message, model_kwargs: as of the backend
            `huggingface`.
    """

    name = "huggingface_reward"

    def __init__(
        self,
        model_name_or_path: str | None = None,
        *,
        model_name: str | None = None,
        label: str | int | None = None,
        tokenizer: Any = None,
        dtype: str = "auto",
        device: str | None = None,
        device_map: Any = None,
        revision: str | None = None,
        trust_remote_code: bool = False,
        batch_size: int | Literal["auto"] = "auto",
        max_length: int | None = None,
        apply_chat_template: bool | Literal["auto"] = "auto",
        chat_template_kwargs: Mapping[str, Any] | None = None,
        system_message: str | None = None,
        model_kwargs: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.source = source_of(
            type(self), model_name_or_path or model_name, more, model_kwargs,
            tokenizer=tokenizer, dtype=dtype, device=device, device_map=device_map,
            revision=revision, trust_remote_code=trust_remote_code, max_length=max_length,
        )  # fmt: skip
        if batch_size != "auto":
            at_least(1, batch_size=batch_size)
        template_wanted(apply_chat_template)
        self.batch_size, self.apply_chat_template = batch_size, apply_chat_template
        self.chat_template_kwargs = dict(chat_template_kwargs or {})
        self.system_message, self.asked_label = system_message, label
        self._worker = Worker(self._loaded)

    @property
    def label(self) -> str:
        """Backend and model."""
        return f"huggingface:{self.source['name']}"

    @property
    def about(self) -> dict[str, Any]:
        """All that decides a reward besides what is judged, once `check` has loaded the model."""
        return {} if self._worker.loaded is None else self._worker.loaded.about

    async def check(self) -> None:
        """Load the model; a `UserError` says why it cannot be."""
        await self._worker.do(lambda work, stopped: None)

    async def close(self) -> None:
        """Let the worker thread end. The model stays until this object goes."""
        self._worker.close()

    async def rewards(self, items: Sequence[tuple[Prompt, str]]) -> list[float | Failure]:
        """The reward of each (prompt, reply), in order; what cannot be judged is a failure."""
        if not items:
            return []
        return await self._worker.do(lambda work, stopped: work.rewards(items, stopped))

    def _loaded(self) -> RewardWork:
        from llm_eval.models.hf.reward import RewardWork

        return RewardWork.of(self)

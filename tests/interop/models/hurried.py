"""A backend with an event loop of its own, whose results come in the order they are ready."""

# mypy: ignore-errors
import asyncio

from llm_eval.models import register_model
from llm_eval.models.base import BaseModel


@register_model("hurried")
class HurriedModel(BaseModel):
    """Later samples are answered sooner."""

    def __init__(self, api_key=None, temperature=0.0, **kwargs):
        super().__init__()
        self.api_key = api_key
        self.kwargs = kwargs
        self.temperature = temperature

    async def _one(self, item, turn, turns):
        await turns[turn].wait()
        if turn:
            turns[turn - 1].set()
        return {**item, "prediction": item["reference"] or "", "finish_reason": "stop"}

    async def _all(self, inputs):
        turns = [asyncio.Event() for _ in inputs]
        turns[-1].set()
        work = [self._one(item, i, turns) for i, item in enumerate(inputs)]
        return [await done for done in asyncio.as_completed(work)]

    def generate_batch(self, inputs, return_logits=False, show_progress=True, **kwargs):
        return asyncio.run(self._all(inputs))

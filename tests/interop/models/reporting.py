"""A backend that reports errors in its results, keeps a chain of thought, and drops other keys."""

# mypy: ignore-errors
from llm_eval.models import BaseModel, register_model


@register_model("reporting")
class ReportingModel(BaseModel):
    """Thinks before it answers; long inputs are errors of theirs alone."""

    def __init__(self, model_name_or_path="thinker", max_tokens=16, **kwargs):
        super().__init__(**kwargs)
        self.name = "thinker"
        self.max_tokens = max_tokens

    def _one(self, text):
        if len(text) > 400:
            return {"input": text, "prediction": None, "error": "the input is too long"}
        return {"input": text, "prediction": "서울", "chain_of_thought": f"{text}: 서울이다."}

    def generate_batch(self, inputs, return_logits=False, until=None, max_tokens=None, **kwargs):
        return [self._one(item["input"]) for item in inputs]

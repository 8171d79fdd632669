"""A backend without a base class, which one sample in a batch can break."""

# mypy: ignore-errors
import llm_eval.models as models
from llm_eval.utils.logging import get_logger

logger = get_logger("brittle")


class BrittleModel:
    """Cannot stand a question mark at the end of a batch's text."""

    def __init__(self, model_name="brittle-1", api_key="none"):
        self.model_name = model_name
        self.api_key = api_key
        self.calls = []

    def generate_batch(self, inputs, return_logits=False, until=None, **kwargs):
        self.calls.append(len(inputs))
        for item in inputs:
            if "break" in item["input"]:
                raise RuntimeError(f"cannot read it with {self.api_key}")
        return [dict(item, prediction=item["input"].upper()) for item in inputs]


models.register_model("brittle")(BrittleModel)

"""A backend that weighs options and gives new dicts; absolute imports."""

# mypy: ignore-errors
import copy
import math
from typing import Any

from llm_eval.models import BaseModel, register_model


@register_model("weighing")
class WeighingModel(BaseModel):
    """The shorter an option, the likelier."""

    def __init__(self, model_name: str = "scales", batch_size: int = 8, **kwargs):
        super().__init__(model_name=model_name, **kwargs)
        self.model_name = model_name
        self.batch_size = batch_size

    def generate_batch(
        self,
        inputs: list[dict[str, Any]],
        return_logits: bool = False,
        cot: bool = False,
        batch_size: int | None = None,
    ) -> list[dict[str, Any]]:
        results = []
        for item in inputs:
            result = copy.deepcopy(item)
            options = item.get("options") or ["?"]
            weights = [-float(len(option)) for option in options]
            result["prediction"] = options[weights.index(max(weights))]
            if return_logits:
                total = math.log(sum(math.exp(w) for w in weights))
                result["logits"] = {"option_log_probs": [w - total for w in weights]}
            results.append(result)
        return results

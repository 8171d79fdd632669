"""A port's module is extended by subclassing, as the documentation shows."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.conftest import Cli

SNIPPET = '''
from llm_eval.dataset import dataset_class
from llm_eval.evaluator import Evaluator


class Hesitant(dataset_class("sample")):
    """A shorter prompt, and a quarter of a point for saying that one does not know."""

    def get_prompt(self, index):
        return "짧게 답하세요.\\n\\n" + super().get_prompt(index)

    def evaluate_prediction(self, index, prediction):
        right, score = super().evaluate_prediction(index, prediction)
        if score == 0 and "모르" in prediction:
            return False, 0.25
        return right, score


print(Evaluator().run("oracle", Hesitant).metrics["accuracy"])  # 1.0
print(Evaluator().run(lambda text: "모르겠습니다.", Hesitant).metrics["accuracy"])  # 0.25
'''


def test_the_snippet_works(cli: Cli, work: Path) -> None:
    """Another prompt and another score, on a port by the real command."""
    assert cli("port", "--dataset", "sample").returncode == 0
    more = '\nassert Hesitant().load()[0]["input"].startswith("짧게")\n'
    (work / "extended.py").write_text(SNIPPET + more, "utf-8")
    done = cli("extended.py", command=(sys.executable,))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1.0", "0.25"]

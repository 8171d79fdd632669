"""The four steps of a port, and the evaluation, as smolagents tools."""

from __future__ import annotations

from hret_agents.tools.base import StepTool
from hret_agents.tools.downloader import DatasetDownloader
from hret_agents.tools.evaluation import ModelEvaluator
from hret_agents.tools.generator import ModuleGenerator
from hret_agents.tools.pusher import DatasetPusher
from hret_agents.tools.translator import DatasetTranslator

__all__ = [
    "DatasetDownloader",
    "DatasetPusher",
    "DatasetTranslator",
    "ModelEvaluator",
    "ModuleGenerator",
    "StepTool",
]

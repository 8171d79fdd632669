"""The tool `dataset_pusher`."""

from __future__ import annotations

from hret_agents.job import Listener
from hret_agents.steps.publish import publish
from hret_agents.steps.state import Port
from hret_agents.tools.base import StepTool
from llm_eval.errors import UserError


class DatasetPusher(StepTool):
    """Pushes a finished port to the Hub, private unless its caller says otherwise.

    Args:
        public: may it push as public, and does it where it is not told? A model that calls it
            cannot allow that; an agent's option `public` can.
    """

    name = "dataset_pusher"
    description = "Pushes a finished port to the Hugging Face Hub. Returns the repo's address."
    inputs = {
        "port": {"type": "string", "description": "What dataset_translator returned."},
        "repo_id": {"type": "string", "description": "OWNER/NAME to push to.", "nullable": True},
        "public": {"type": "boolean", "description": "As public, if allowed.", "nullable": True},
    }
    stage = "push"

    def __init__(self, public: bool = False) -> None:
        super().__init__()
        self.public = public

    def forward(self, port: str, repo_id: str | None = None, public: bool | None = None) -> str:
        """Push; the repo's address.

        Raises:
            UserError: the port has no module yet, or it may not be pushed there, or not as public:
                a repo that the agent's caller named is the only one.
        """
        fields = self.lent.fields
        if (only := fields.get("repo_id")) and repo_id not in (None, only):
            raise UserError(f"pushing is allowed to {only} alone", hint="leave repo_id out")
        allowed = bool(fields.get("public", self.public))
        if public and not allowed:
            raise UserError(
                "only the caller can make a push public: this one is private",
                hint="leave public out; callers say it by DatasetPusher(public=True), or as an "
                "agent's option",
            )
        public = allowed if public is None else public
        done = self._through(port, push=True, repo_id=only or repo_id, public=public)
        if done.url is None:
            raise UserError(f"{done.slug} has no module yet", hint="call module_generator first")
        return done.url

    def apply(self, port: Port, listener: Listener) -> Port:
        """Push, if the job says so."""
        return publish(port, listener)

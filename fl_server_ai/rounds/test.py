from __future__ import annotations

from typing import ClassVar

from fl_server_core.models.delivery import NotificationType
from fl_server_core.models.event import EventKind
from fl_server_core.models.training import Training
from fl_server_core.options import TrainerOptions
from fl_server_core.registry import round_kinds
from fl_server_core.rounds.claims import Claim
from fl_server_core.rounds.kinds import RoundKind
from fl_server_core.selectors import rounds
from fl_server_core.services.files import NewFiles
from fl_server_core.services.history import record


@round_kinds.register
class TestRound(RoundKind[None]):
    """The participants test the global model; the metrics that they post are their submissions."""

    __test__ = False  # for pytest, which takes it for a test

    name: ClassVar[str] = "test"
    title: ClassVar[str] = "test round"
    notification: ClassVar[str] = NotificationType.MODEL_TEST_ROUND
    has_own_path: ClassVar[bool] = True
    needs_computing: ClassVar[bool] = False
    takes_metrics: ClassVar[bool] = True

    def wants(self, training: Training, number: int) -> bool:
        """After each round of updates, or only of the final model: as the options say; under FedDC the latter."""
        options = TrainerOptions.tolerant(training.options)
        if options.skip_model_tests:
            return False
        only_final = not options.model_test_after_each_round or training.daisy_chain_period > 1
        return not only_final or rounds.is_target_reached(training, number)

    def compute(self, claim: Claim, files: NewFiles) -> None:
        """The metrics are there already."""

    def apply(self, claim: Claim, training: Training, result: None) -> None:  # noqa: ARG002  nothing was computed
        number = claim.round.number
        record(
            training=training,
            kind=EventKind.TESTED,
            number=number,
            arrived=len(claim.submissions),
            expected=claim.expected,
            metrics=claim.round.metrics.count(),
        )

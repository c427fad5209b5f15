# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""What blocks with a prototype port have in common: the classifier behind it, its ports and its settings."""

from dataclasses import dataclass

from ..radiofm_python import _flowgraph
from . import messages
from .arguments import whole
from .complaints import Complaints
from .optional import optional
from .prototype_port import MAX_COMMANDS, PrototypePort


@dataclass(frozen=True)
class PrototypeSettings:
    """What the blocks that decide by prototypes let their user set; Prototype Classifier explains it."""

    prototypes: str
    shipped: bool
    history: int
    task: str
    normalisation: str
    metric: str
    centre: str
    false_alarm_rate: float
    drift_rate: float

    def classifier(self) -> dict:
        """Those of ``FewShot``."""
        given = {"metric": self.metric, "centre": self.centre, "false_alarm_rate": self.false_alarm_rate,
                 "drift_rate": self.drift_rate}
        return given if self.normalisation == "auto" else {"normalisation": self.normalisation, **given}


class PrototypeBlock:
    """Mixin of blocks that decide by prototypes.

    Message input ``prototypes``, outputs ``predictions``, ``prototypes_out``, and ``status``, which is the
    block's to register (see PrototypePort).
    """

    def _open_prototypes(self, name: str, bundle, settings: PrototypeSettings, embedding_size: int = 0,
                         stride: int | None = None, signals: bool = False) -> None:
        """For the constructor.

        bundle: a Bundle, or None; embedding_size: where there is none; stride: samples from one embedding to
        the next, if known; signals: the embeddings are those of signals. Raises ValueError, ImportError.
        """
        history = whole(f"{name}: history", settings.history, 1, 65536)
        fewshot, prototypes = optional("radiofm_ml.fewshot", name), str(settings.prototypes)
        try:
            if bundle:
                few = fewshot.FewShot.for_bundle(bundle, prototypes, settings.shipped, signals,
                                                 **settings.classifier())
            else:
                few = fewshot.FewShot(embedding_size, **settings.classifier())
                if prototypes:
                    few.prototypes.load(prototypes)
                    few.prototypes.forget_history()
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        if bundle and not few.calibrated:
            self._log.warn(f"bundle {bundle.id} is not calibrated for normalisation '{few.normalisation}' "
                           f"and metric '{few.metric}': probabilities are rough, and nothing is called "
                           "unknown before enough has been taught")
        self._complaints = Complaints(self._log)
        self._port = PrototypePort(few, self.message_port_pub, str(settings.task), history,
                                   stride, self._complaints.say)
        for port in (messages.PREDICTIONS, messages.PROTOTYPES_OUT):
            self.message_port_register_out(port)

    def handle_command(self, message) -> None:
        """A command, and those that wait behind it: GNU Radio hands over one after the other, and nothing
        else before the last."""
        block = self.to_basic_block()
        waiting = block.nmsgs(messages.PROTOTYPES)
        few = min(waiting, MAX_COMMANDS - 1)
        commands = [message, *(block.delete_head_nowait(messages.PROTOTYPES) for _ in range(few))]
        for _ in range(waiting - few):
            block.delete_head_nowait(messages.PROTOTYPES)
        self._port.handle_all(commands, waiting - few, self._between_commands, _flowgraph.stopping)

    def _between_commands(self) -> None:
        """A chance for what else has come."""

    # -- settings -------------------------------------------------------------------------------------
    def set_normalisation(self, normalisation: str) -> None:
        with self._port.lock:
            self._port.few.set_normalisation(normalisation)

    def set_metric(self, metric: str) -> None:
        with self._port.lock:
            self._port.few.set_metric(metric)

    def set_centre(self, centre: str) -> None:
        with self._port.lock:
            self._port.few.set_centre(centre)

    def set_false_alarm_rate(self, false_alarm_rate: float) -> None:
        with self._port.lock:
            self._port.few.set_false_alarm_rate(false_alarm_rate)

    def set_drift_rate(self, drift_rate: float) -> None:
        with self._port.lock:
            self._port.few.drift.set_rate(drift_rate)

    def set_task(self, task: str) -> None:
        self._port.task = str(task)

    def normalisation(self) -> str:
        """In use; never 'auto'."""
        return self._port.few.normalisation

    def metric(self) -> str:
        return self._port.few.metric

    def centre(self) -> str:
        return self._port.few.centre

    def false_alarm_rate(self) -> float:
        return self._port.few.false_alarm_rate

    def drift_rate(self) -> float:
        return self._port.few.drift.rate

    def task(self) -> str:
        return self._port.task

    def labels(self) -> tuple[str, ...]:
        """Labels that have been taught."""
        return self._port.few.labels

    def drift(self) -> float:
        """Evidence that the stream no longer looks like what was taught: 0 is none, 1 raises the alarm."""
        with self._port.lock:
            return self._port.few.drift.statistic

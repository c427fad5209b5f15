# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""The prototype port that classifiers share: commands in, answers and state out, embeddings to decisions.

A command takes effect between two tiles. Its answer's ``sample_start`` says between which: every tile that
starts there or later is decided with the new prototypes, every earlier one with the old. A prediction never
waits for an enrolment that is still collecting.

Commands may come by the thousand. What they change goes out together: the state first, as it is by then, then
the answers to them all.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import islice, pairwise

import numpy as np

from . import messages
from .enrolment import Enrolment, Wanted, anew
from .messages import MessageError, Prediction, TileInfo, get, text, whole
from .optional import optional
from .prototype_messages import open_command, parse_prototype, parse_state, state_message

MAX_COMMANDS = 4096  # that may wait
MAX_PENDING = 64  # enrolments that may wait for their tiles
MAX_ENROLL = 1024  # shots in one enrolment
SOURCES = ("next", "last", "at")
_LOOK_BACK = 16  # tiles
_TOGETHER = 0.1  # seconds whose answers go out together, at most
_LAST = 0.5  # seconds that commands have once the flowgraph is to stop
_KEYS = {  # that each command takes
    "enroll": {"label", "shots", "source", "sample_start", "frequency", "signal"},
    "set": {"label", "vector", "shots", "support", "model"},
    "remove": {"label"},
    "rename": {"label", "new_label"},
    "undo": set(), "clear": set(), "state": set(),
    "save": {"path"},
    "load": {"path", "format", "format_version", "model", "embedding_size", "mean", "prototypes"},
    "false_alarm_rate": {"rate"},
}


class PrototypePort:
    """Few-shot classifier behind the messages of ports ``prototypes``, ``status`` and ``prototypes_out``.

    few         radiofm_ml.fewshot.FewShot
    publish     function (port, message)
    task        the ``task`` of the predictions
    history     embeddings that are kept for ``enroll`` with source 'last' and 'at'
    stride      samples from tile to tile, None to learn it from the embeddings
    complain    told a sentence for every refusal

    Its methods may be called from any thread. ``handle`` and ``handle_all`` never raise.
    """

    def __init__(self, few, publish, task: str, history: int, stride: int | None = None,
                 complain: Callable[[str], object] = lambda text: None):
        self.few, self.task, self._complain = few, task, complain
        self.lock = threading.RLock()
        self._publish = publish
        self._library = optional("radiofm_ml.fewshot.prototypes", "a prototype port")
        self._size = few.prototypes.embedding_size
        self._history: deque[tuple[TileInfo, np.ndarray]] = deque(maxlen=history)
        self._given_stride = stride
        self._pending: list[Enrolment] = []
        self._drifting = False
        self._answers: list = []  # that have not gone out yet
        self._state_due = False
        self._commands = {"enroll": self._enroll, "set": self._set, "remove": self._remove,
                          "rename": self._rename, "undo": self._undo, "clear": self._clear,
                          "save": self._save, "load": self._load, "state": self._state,
                          "false_alarm_rate": self._false_alarm_rate}

    def start(self) -> None:
        """A new run: samples count from 0 again. What was taught stays."""
        with self.lock:
            self._history.clear()
            self.few.drift.reset()
            self._drifting = False

    def stop(self) -> None:
        """Answer the enrolments that will get no more tiles."""
        with self.lock:
            self._cancel("the flowgraph has stopped")
            self._send()

    # -- commands -----------------------------------------------------------------------------------
    def handle(self, message) -> None:
        """Apply a command, or refuse it with a reason; nothing changes then."""
        self.handle_all([message])

    def handle_all(self, commands: list, too_many: int = 0, between: Callable[[], None] = lambda: None,
                   stopping: Callable[[], bool] = lambda: False) -> None:
        """Apply commands in their order.

        too_many  further ones that are refused unread, with one answer
        between   called between commands, without the lock
        stopping  whether the flowgraph is to stop; then what takes too long is refused with one answer
        """
        sent, last = time.monotonic(), None
        for done, message in enumerate(commands):
            with self.lock:
                self._apply(message)
                now = time.monotonic()
                if now - sent > _TOGETHER:
                    self._send()
                    sent = now
            between()
            if last is None and stopping():
                last = now + _LAST
            if last is not None and now > last:
                self._refuse_rest(len(commands) - done - 1 + too_many, "the flowgraph has stopped")
                return
        self._refuse_rest(too_many, f"too many commands waiting, {MAX_COMMANDS} are the most")

    def _refuse_rest(self, count: int, reason: str) -> None:
        with self.lock:
            if count:
                self._refuse("", f"{count} commands were refused: {reason}")
            self._send()

    def _apply(self, message) -> None:
        command = label = ""
        try:
            message = open_command(message)
            command = get(message, "command", text, required=True)
            if command not in self._commands:
                raise MessageError(
                    f"no such command as '{command[:60]}'; there are {', '.join(self._commands)}")
            label = get(message, "label", text, "")
            self._check_keys(message, command)
            self._commands[command](message, label)
        except (MessageError, self._library.PrototypeError) as error:
            self._refuse(command, str(error), label)
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._refuse(command, f"failed: {type(error).__name__}: {error}", label)

    @staticmethod
    def _check_keys(message, command: str) -> None:
        unknown = sorted(set(messages.keys(message)) - _KEYS[command] - {"command"})
        if unknown:
            has = ", ".join(sorted(_KEYS[command])) or "no other key"
            named = ", ".join(repr(key[:40]) for key in unknown[:3])
            raise MessageError(f"{command} has no key {named}; it takes {has}")

    def _refuse(self, command: str, reason: str, label: str = "") -> None:
        known = f"{command}: " if command in self._commands else ""
        self._complain(f"a command was refused: {known}{reason}")
        self._answer(command, False, reason, label)

    def _answer(self, command: str, ok: bool, reason: str = "", label: str = "", shots: int = 0,
                sample_start: int | None = None, **more) -> None:
        """To go out with the next ``_send``."""
        start = self._boundary() if sample_start is None else sample_start
        self._answers.append(
            messages.status(command, ok, reason, label=label, shots=shots, sample_start=start, **more))

    def _changed(self, command: str, label: str = "", shots: int = 0, sample_start: int | None = None):
        self.few.drift.reset()  # what was seen before says nothing about the new prototypes
        self._state_due = True
        self._answer(command, True, "", label, shots, sample_start)

    def _send(self) -> None:
        """The state, if it has changed, and then the answers: who has an answer has the state."""
        if self._state_due:
            self._publish(messages.PROTOTYPES_OUT, state_message(self.few.state()))
        answers, self._answers, self._state_due = self._answers, [], False
        for answer in answers:
            self._publish(messages.STATUS, answer)

    def _enroll(self, message, label: str) -> None:
        self._library.check_label(label)
        shots = get(message, "shots", whole, 1)
        wanted = Wanted(get(message, "sample_start", whole), get(message, "frequency", messages.frequency),
                         get(message, "signal", whole))
        source = get(message, "source", text, "next" if wanted.signal is None else "at")
        if source not in SOURCES:
            raise MessageError(f"key 'source' must be one of {', '.join(SOURCES)}, got '{source}'")
        if source != "at" and (wanted.frequency, wanted.signal) != (None, None):
            raise MessageError("keys 'frequency' and 'signal' are for source 'at'")
        if not 1 <= shots <= MAX_ENROLL:
            raise MessageError(f"key 'shots' must lie in 1..{MAX_ENROLL}, got {shots}")
        if source == "last":
            if len(self._history) < shots:
                raise MessageError(f"only {len(self._history)} embeddings are kept, {shots} were asked for")
            self._teach(label, list(self._history)[-shots:])
            return
        if len(self._pending) >= MAX_PENDING:
            raise MessageError(f"{MAX_PENDING} enrolments are waiting already")
        if source == "next":
            for other in self._pending:
                if other.wanted is None:
                    raise MessageError(f"'{other.label}' is still being taught, {len(other.taken)} of "
                                       f"{other.shots} embeddings have come; undo cancels that")
            self._pending.append(Enrolment(label, shots))
            return
        if wanted.sample is None and wanted.signal is None:
            raise MessageError("key 'sample_start' is missing")
        enrolment = Enrolment(label, shots, wanted, self._history.maxlen)
        # of signals, the newest first: of a long one the last part tells most
        step = -1 if self._history and self._history[-1][0].signal is not None else 1
        for entry in list(self._history)[::step]:
            if enrolment.offer(*entry, self._span(entry[0])):
                self._teach(label, enrolment.taken)
                return
        self._pending.append(enrolment)

    def _teach(self, label: str, taken: list, sample_start: int | None = None) -> None:
        models = {info.model for info, _ in taken}
        if len(models) > 1:
            raise MessageError(f"the embeddings come from several models: {', '.join(sorted(models))}")
        prototype = self.few.prototypes.enroll(label, np.stack([vector for _, vector in taken]), models.pop())
        self._changed("enroll", label, prototype.shots, sample_start)

    def _set(self, message, label: str) -> None:
        prototype = self.few.prototypes.set(label, **parse_prototype(message, self._size),
                                            model=get(message, "model", text, ""))
        self._changed("set", label, prototype.shots)

    def _remove(self, message, label: str) -> None:
        self.few.prototypes.remove(label)
        self._changed("remove", label)

    def _rename(self, message, label: str) -> None:
        new = get(message, "new_label", text, required=True)
        self.few.prototypes.rename(label, new)
        self._changed("rename", new, self.few.prototypes[new].shots)

    def _undo(self, message, label: str) -> None:
        if self._pending:
            enrolment = self._pending.pop()
            self._answer("enroll", False, "cancelled by undo", enrolment.label)
            self._answer("undo", True, "", enrolment.label)
            return
        self.few.prototypes.undo()
        self._changed("undo")

    def _clear(self, message, label: str) -> None:
        waiting = bool(self._pending)
        self._cancel("cancelled by clear")
        if waiting and not len(self.few.prototypes):
            self._answer("clear", True)
            return
        self.few.prototypes.clear()
        self._changed("clear")

    def _save(self, message, label: str) -> None:
        self.few.save(get(message, "path", text, required=True))
        self._answer("save", True)

    def _load(self, message, label: str) -> None:
        path = get(message, "path", text)
        changed = (self.few.prototypes.load(path) if path is not None
                   else self.few.prototypes.load_state(parse_state(message, self._size)))
        if changed:
            self._changed("load")
        else:  # and nothing goes out, so that classifiers that mirror each other come to rest
            self._answer("load", True, "these were the prototypes already")

    def _state(self, message, label: str) -> None:
        self._state_due = True
        self._answer("state", True)

    def _false_alarm_rate(self, message, label: str) -> None:
        rate = get(message, "rate", messages.real)
        if rate is not None:
            try:
                self.few.set_false_alarm_rate(rate)
            except ValueError as error:
                raise MessageError(str(error)) from None
        self._answer("false_alarm_rate", True, rate=self.few.false_alarm_rate)

    def _cancel(self, reason: str) -> None:
        for enrolment in self._pending:
            self._answer("enroll", False, reason, enrolment.label)
        self._pending.clear()

    # -- embeddings ---------------------------------------------------------------------------------
    def decide(self, infos: list[TileInfo], vectors: np.ndarray) -> list[Prediction]:
        """Predictions for consecutive tiles. vectors: float32 (n, D). Completes enrolments on the way.

        Raises MessageError for embeddings of another model; none of them is used then.
        """
        with self.lock:
            own = self.few.prototypes.model
            for info in infos:
                if own and info.model and info.model != own:
                    raise MessageError(f"embedding made by model '{info.model}', prototypes are for '{own}'")
            predictions, begin = [], 0
            for i, (info, vector) in enumerate(zip(infos, vectors, strict=True)):
                self._remember(info, vector)
                if not self._pending:
                    continue
                ready = [e for e in self._pending if self._offered(e, info, vector)]
                if ready:
                    predictions += self._predict(infos[begin:i], vectors[begin:i])
                    begin = i
                    self._complete(ready, info)
            predictions += self._predict(infos[begin:], vectors[begin:])
            self._send()
            return predictions

    def _remember(self, info: TileInfo, vector: np.ndarray) -> None:
        if self._history and anew(info, self._history[-1][0]):
            self._history.clear()
        self._history.append((info, vector))

    def _offered(self, enrolment, info: TileInfo, vector: np.ndarray) -> bool:
        """Whether an enrolment has got its last shot, or its answer."""
        try:
            return enrolment.offer(info, vector, self._span(info))
        except MessageError as error:
            self._refuse("enroll", str(error), enrolment.label)
            self._pending = [e for e in self._pending if e is not enrolment]
            return False

    def _complete(self, ready: list, info: TileInfo) -> None:
        for enrolment in ready:
            self._pending = [e for e in self._pending if e is not enrolment]
            try:
                self._teach(enrolment.label, enrolment.taken, info.sample_start)
            except (MessageError, self._library.PrototypeError) as error:
                self._refuse("enroll", str(error), enrolment.label)

    def _predict(self, infos: list[TileInfo], vectors: np.ndarray) -> list[Prediction]:
        if not infos:
            return []
        decision = self.few.predict(vectors)
        self.few.observe(vectors, decision)
        self._watch_drift()
        labels = self.few.labels
        rows = zip(infos, decision.index.tolist(), decision.unknown.tolist(), decision.confidence().tolist(),
                   decision.probabilities.astype(np.float32), strict=True)
        return [Prediction(info, self.task, self._library.UNKNOWN if unknown else labels[index], confidence,
                           unknown, labels, probabilities)
                for info, index, unknown, confidence, probabilities in rows]

    def _watch_drift(self) -> None:
        before, self._drifting = self._drifting, self.few.drift.drifting
        if self._drifting and not before:
            self._answer("drift", False, "the stream no longer looks like what was taught: teach again")
        elif before and not self._drifting:
            self._answer("drift", True, "the stream looks like what was taught again")

    # -- where tiles lie ----------------------------------------------------------------------------
    def _stride(self) -> int | None:
        """Samples from tile to tile, if known; the fewest of late, should they differ."""
        if self._given_stride:
            return self._given_stride
        newest = [info for info, _ in islice(reversed(self._history), _LOOK_BACK)]
        gaps = [(a.sample_start - b.sample_start, a.tile - b.tile) for a, b in pairwise(newest)]
        return min((samples // tiles for samples, tiles in gaps if tiles > 0), default=None)

    def _span(self, info: TileInfo) -> int:
        """Samples from a tile's first one that are its own (tiles may overlap at their end)."""
        if info.signal is not None:
            return info.sample_count
        return min(info.sample_count, self._stride() or info.sample_count)

    def _boundary(self) -> int:
        """First sample that the next tile can start at; behind the start of all signals that came."""
        if not self._history:
            return 0
        if self._history[-1][0].signal is not None:
            return max(info.sample_start for info, _ in self._history) + 1
        return self._history[-1][0].sample_start + (self._stride() or 1)

# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Prototype Classifier: labels for embeddings, taught by message while the flowgraph runs."""

from gnuradio import gr

from .common import backlog, messages
from .common.lifetime import Held
from .common.messages import MessageError
from .common.optional import optional
from .common.prototype_block import PrototypeBlock, PrototypeSettings

_NAME = "Prototype Classifier"


class prototype_classifier(PrototypeBlock, backlog.Reader, Held, gr.basic_block):
    """Classifies embedding PDUs by the nearest of a few taught prototypes and says 'unknown' where none fits.

    Message input ``embeddings``: embedding PDUs; each gives one prediction, in order.
    Message input ``prototypes``: commands, as dicts with the key ``command``:
      enroll {label, shots (1), source: 'next' | 'last' | 'at', sample_start, frequency, signal}  teach the
          next or the last embeddings, or those from the tile that holds sample_start on; of signals those
          that hold sample_start and frequency (Hz), or of this number; one answer, when all are in
      set {label, vector, shots (1), support}   put a prototype in place
      remove {label}, rename {label, new_label}, clear, undo (64 deep; first cancels a waiting enrolment)
      save {path}, load {path}                  a .safetensors file; load also takes a whole state, as it
          comes out of ``prototypes_out``
      state                                     send the state
      false_alarm_rate {rate}                   set it; the answer has the one in force in ``rate``
    Message output ``predictions``: prediction PDUs, payload the probabilities in the order of ``labels``.
      ``label`` is 'unknown' where ``unknown`` is true; ``confidence`` is then how sure that is.
    Message output ``status``: an answer to every command {command, ok, reason, label, shots, sample_start};
      command 'classify' for a refused embedding, 'drift' when the stream begins or ceases to look unlike
      what was taught. Tiles that start at sample_start or later are decided with the new prototypes.
    Message output ``prototypes_out``: the whole state after every change, which ``prototypes`` of another
      classifier takes (also over ZeroMQ).

    bundle            the encoder's bundle: gives embedding size, calibration, shipped prototypes, and the id
                      that embeddings and prototypes must carry; '' for none
    embedding_size    values in an embedding, where there is no bundle
    prototypes        file of prototypes to begin with; '' for none
    shipped           begin with the bundle's own prototypes, if it ships any and no file is given; each
                      counts as one shot
    normalisation     'auto' (the bundle's), 'none', 'l2' or 'cl2n'
    metric            'euclidean', 'cosine' or 'mahalanobis' (needs a label with 5 shots)
    centre            mean that 'cl2n' subtracts: of the 'source' domain, or a running one of the 'stream'
    false_alarm_rate  share of signals of taught labels that may be called unknown, 0.001 to 0.5
    history           embeddings kept for enroll with source 'last' and 'at'
    task              the ``task`` of the predictions
    drift_rate        at most so many false reports of drift per embedding, 1e-9 to 1e-3
    signals           the embeddings are those of signals, not of tiles: other vectors of the same bundle; so
                      it is where the bundle reads nothing else

    What was taught outlives a restart. Raises ValueError naming the file and the cure, and ImportError if a
    Python package is missing.
    """

    def __init__(self, bundle: str = "", embedding_size: int = 0, prototypes: str = "", shipped: bool = True,
                 normalisation: str = "auto", metric: str = "euclidean", centre: str = "source",
                 false_alarm_rate: float = 0.01, history: int = 256, task: str = "classification",
                 drift_rate: float = 1e-6, signals: bool = False):
        gr.basic_block.__init__(self, name=_NAME, in_sig=None, out_sig=None)
        self._log = gr.logger(self.alias())
        if not bundle and embedding_size < 1:
            raise ValueError(f"{_NAME}: name a bundle, or give embedding_size")
        model = optional("radiofm_ml.bundle", _NAME).load(str(bundle)) if bundle else None
        signals = bool(signals or (model and model.reads == "signals"))
        if signals and not model:
            raise ValueError(f"{_NAME}: name the bundle that reads the signals")
        gives = model and (model.signals.size if signals and model.signals else model.embedding_size)
        if model and embedding_size not in (0, gives):
            raise ValueError(f"{_NAME}: embedding_size is {embedding_size}, bundle {model.id} gives {gives}; "
                             "leave it 0")
        # how far blocks of I/Q lie apart is up to the block that cuts them
        self._open_prototypes(
            _NAME, model, PrototypeSettings(prototypes, shipped, history, task, normalisation, metric, centre,
                                            false_alarm_rate, drift_rate),
            embedding_size, model.spec.stride if model and model.spec else None, signals)
        self.message_port_register_out(messages.STATUS)
        self._counts = {"received": 0, "refused": 0}
        self.read_messages({messages.EMBEDDINGS: self.handle_embedding},
                           {messages.PROTOTYPES: self.handle_command})

    # -- messages -----------------------------------------------------------------------------------
    def handle_embedding(self, message) -> None:
        self._counts["received"] += 1
        try:
            info, vector = messages.parse_embedding(message, self._port.few.prototypes.embedding_size)
            predictions = self._port.decide([info], vector[None])
        except MessageError as error:
            self._refuse(str(error))
        except Exception as error:  # would end the block's thread and leave a flowgraph that never stops
            self._refuse(f"failed: {type(error).__name__}: {error}")
        else:
            for prediction in predictions:
                self.message_port_pub(messages.PREDICTIONS, messages.prediction_pdu(prediction))

    def _between_commands(self) -> None:
        """The embeddings that have come meanwhile: they would wait for the last of thousands of commands."""
        block = self.to_basic_block()
        while block.nmsgs(messages.EMBEDDINGS):
            self.handle_embedding(block.delete_head_nowait(messages.EMBEDDINGS))

    def _refuse(self, reason: str) -> None:
        self._complaints.say(f"an embedding is not classified: {reason}")
        self._counts["refused"] += 1
        self.message_port_pub(messages.STATUS, messages.status("classify", False, reason))

    # -- life ---------------------------------------------------------------------------------------
    def start(self):
        self._port.start()
        self._complaints.forget()
        left = self.begin_run()
        if left:
            self._log.warn(f"{left} embeddings of the run before were not classified, and are dropped")
        backlog.begin_sending(self)
        return True

    def stop(self):
        self.end_run()
        self._port.stop()
        if not self._ended_itself:
            backlog.take_back(self, (messages.PREDICTIONS,))
        backlog.end_sending(self)
        return True

    # -- counters -----------------------------------------------------------------------------------
    def received(self) -> int:
        """Embeddings that came."""
        return self._counts["received"]

    def refused(self) -> int:
        """Embeddings that were malformed or of another model; each was answered on ``status``."""
        return self._counts["refused"]

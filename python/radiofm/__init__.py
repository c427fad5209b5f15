# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Radio foundation models in GNU Radio: from I/Q to embeddings, labels and annotations."""

# The C++ blocks. An import that fails here is an installation fault and must be seen.
# import any pure python here
from .beam_source import beam_source  # noqa: F401
from .common import messages  # noqa: F401
from .common.specs import tile_size  # noqa: F401
from .iq_to_spectrogram import iq_to_spectrogram  # noqa: F401
from .protobeam_classifier import protobeam_classifier  # noqa: F401
from .prototype_classifier import prototype_classifier  # noqa: F401
from .qt.embedding_view import embedding_view  # noqa: F401
from .qt.labelled_waterfall import labelled_waterfall  # noqa: F401
from .qt.teach_panel import teach_panel  # noqa: F401
from .radiofm_python import *  # noqa: F403
from .receiver import receiver  # noqa: F401
from .sigmf_annotation_sink import sigmf_annotation_sink  # noqa: F401
from .sigmf_source import sigmf_source  # noqa: F401
from .signal_cutter import signal_cutter  # noqa: F401
from .signal_detector import signal_detector  # noqa: F401
from .signal_watch import signal_watch  # noqa: F401
from .task_head import task_head, token_layers  # noqa: F401
from .vit_embedding_sink import vit_embedding_sink  # noqa: F401
from .waveform_source import waveform_source  # noqa: F401

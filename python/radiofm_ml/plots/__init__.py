# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright 2026 gr-radiofm authors
"""Pictures, drawn with matplotlib's Agg backend: no display is needed."""

from radiofm_ml.plots.embedding import draw_embedding
from radiofm_ml.plots.results import draw_confusion, draw_error_cdf, draw_learning_curves
from radiofm_ml.plots.segments import draw_segments
from radiofm_ml.plots.waterfall import Box, draw_waterfall

__all__ = ["Box", "draw_confusion", "draw_embedding", "draw_error_cdf", "draw_learning_curves",
           "draw_segments", "draw_waterfall"]

/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_PYDOC_MACROS_H
#define INCLUDED_RADIOFM_PYDOC_MACROS_H

// DOC(gr, radiofm, stft) is __doc_gr_radiofm_stft and DOC(gr, radiofm, stft, make) is
// __doc_gr_radiofm_stft_make: the names that gr_modtool gives docstrings.
#define DOC_SELECT(a, b, c, d, e, macro, ...) macro
#define DOC_3(a, b, c) __doc_##a##_##b##_##c
#define DOC_4(a, b, c, d) __doc_##a##_##b##_##c##_##d
#define DOC_5(a, b, c, d, e) __doc_##a##_##b##_##c##_##d##_##e
#define DOC(...) DOC_SELECT(__VA_ARGS__, DOC_5, DOC_4, DOC_3, , )(__VA_ARGS__)

#endif /* INCLUDED_RADIOFM_PYDOC_MACROS_H */

/* SPDX-License-Identifier: GPL-3.0-or-later
 * Copyright 2026 gr-radiofm authors
 */

#ifndef INCLUDED_RADIOFM_API_H
#define INCLUDED_RADIOFM_API_H

#include <gnuradio/attributes.h>

#ifdef gnuradio_radiofm_EXPORTS
#define RADIOFM_API __GR_ATTR_EXPORT
#else
#define RADIOFM_API __GR_ATTR_IMPORT
#endif

#endif /* INCLUDED_RADIOFM_API_H */

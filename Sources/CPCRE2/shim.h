// PCRE2 as Swift sees it: its interface for texts of bytes.
#ifndef LASP_CPCRE2_SHIM_H
#define LASP_CPCRE2_SHIM_H
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#endif

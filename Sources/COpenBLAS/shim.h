// OpenBLAS as Swift sees it: its own C interface, nothing added.
#ifndef LASP_COPENBLAS_SHIM_H
#define LASP_COPENBLAS_SHIM_H
#include <cblas.h>
#endif

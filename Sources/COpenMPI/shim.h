// Open MPI as Swift sees it. MPI's handles are macros, which Swift does not import: each gets an inline function.
#ifndef LASP_COPENMPI_SHIM_H
#define LASP_COPENMPI_SHIM_H
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#endif

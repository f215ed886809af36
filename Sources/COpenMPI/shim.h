// Open MPI as Swift sees it. MPI's handles are macros, which Swift does not import: each gets an inline function.
#ifndef LASP_COPENMPI_SHIM_H
#define LASP_COPENMPI_SHIM_H
#define OMPI_SKIP_MPICXX 1
#include <mpi.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static inline MPI_Comm lasp_comm_world(void) { return MPI_COMM_WORLD; }
static inline MPI_Request lasp_request_null(void) { return MPI_REQUEST_NULL; }
static inline MPI_Datatype lasp_byte(void) { return MPI_BYTE; }
static inline MPI_Datatype lasp_float(void) { return MPI_FLOAT; }
static inline MPI_Datatype lasp_double(void) { return MPI_DOUBLE; }
static inline MPI_Op lasp_sum(void) { return MPI_SUM; }
static inline MPI_Op lasp_minimum(void) { return MPI_MIN; }
static inline MPI_Op lasp_maximum(void) { return MPI_MAX; }
static inline const void *lasp_in_place(void) { return MPI_IN_PLACE; }
static inline MPI_Info lasp_info_null(void) { return MPI_INFO_NULL; }

// Errors come back as codes, on this communicator and on those made from it.
static inline int lasp_return_errors(MPI_Comm comm) {
  return MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
}

// The release of Open MPI whose headers these are; that of the library is asked of it.
static const int lasp_mpi_release[3] = {OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION};

// What glibc declares only for its own extensions: processor affinity, timers, and whether this process
// may read another's memory, which containers often forbid.
static inline long lasp_get_affinity(int process, void *mask, unsigned long bytes) {
  return syscall(SYS_sched_getaffinity, process, bytes, mask);
}
static inline long lasp_set_affinity(int process, const void *mask, unsigned long bytes) {
  return syscall(SYS_sched_setaffinity, process, bytes, mask);
}
static inline int lasp_may_read_memory(void) {
  long from = 1, to = 0;
  struct { void *base; unsigned long length; } local = {&to, sizeof to}, remote = {&from, sizeof from};
  return syscall(SYS_process_vm_readv, (long)getpid(), &local, 1L, &remote, 1L, 0L) == sizeof from;
}
static inline int lasp_set_timer_slack(unsigned long nanoseconds) {
  return prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0);
}
#endif

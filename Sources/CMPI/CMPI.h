// MPI: messages between processes. Imported by Sources/Parallel/MPICommunicator.swift alone.
//
// Handles are pointers in one implementation and numbers in another, and most constants are macros, so both are wrapped
// for Swift here.
#pragma once
#include <mpi.h>
#include <stddef.h>

typedef struct { MPI_Comm handle; } carat_communicator;
typedef struct { MPI_Request handle; } carat_request;

static inline carat_communicator carat_mpi_world(void) { return (carat_communicator){MPI_COMM_WORLD}; }
static inline carat_request carat_mpi_no_request(void) { return (carat_request){MPI_REQUEST_NULL}; }
static inline int carat_mpi_is_null(carat_request request) { return request.handle == MPI_REQUEST_NULL; }

// One thread at a time calls MPI; whether the implementation can do that.
static inline int carat_mpi_init(int *has_threads) {
  int provided = MPI_THREAD_SINGLE;
  int status = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &provided);
  *has_threads = provided >= MPI_THREAD_SERIALIZED;
  return status;
}

// A communicator of the same processes with messages of its own, whose errors are returned.
static inline int carat_mpi_duplicate(carat_communicator from, carat_communicator *to) {
  int status = MPI_Comm_dup(from.handle, &to->handle);
  return status == MPI_SUCCESS ? MPI_Comm_set_errhandler(to->handle, MPI_ERRORS_RETURN) : status;
}

static inline int carat_mpi_send(
    const void *bytes, int count, int peer, int tag, carat_communicator communicator, carat_request *request) {
  return MPI_Isend(bytes, count, MPI_BYTE, peer, tag, communicator.handle, &request->handle);
}

static inline int carat_mpi_receive(
    void *bytes, int count, int peer, int tag, carat_communicator communicator, carat_request *request) {
  return MPI_Irecv(bytes, count, MPI_BYTE, peer, tag, communicator.handle, &request->handle);
}

static inline int carat_mpi_test(carat_request *request, int *is_done) {
  return MPI_Test(&request->handle, is_done, MPI_STATUS_IGNORE);
}

// Gives up a receive; whoever asks then whether it is done gets yes.
static inline int carat_mpi_cancel(carat_request *request) { return MPI_Cancel(&request->handle); }

static inline int carat_mpi_test_all(carat_request *requests, int count, int *are_done) {
  _Static_assert(sizeof(carat_request) == sizeof(MPI_Request), "requests lie side by side as MPI's own");
  return MPI_Testall(count, &requests->handle, are_done, MPI_STATUSES_IGNORE);
}

static inline int carat_mpi_rank(carat_communicator communicator, int *rank) {
  return MPI_Comm_rank(communicator.handle, rank);
}
static inline int carat_mpi_size(carat_communicator communicator, int *size) {
  return MPI_Comm_size(communicator.handle, size);
}
static inline int carat_mpi_version(char *text, int *length) { return MPI_Get_library_version(text, length); }
static inline int carat_mpi_text(int status, char *text, int *length) { return MPI_Error_string(status, text, length); }
static inline int carat_mpi_finalize(void) { return MPI_Finalize(); }
static inline int carat_mpi_abort(int status) { return MPI_Abort(MPI_COMM_WORLD, status); }

// The library's own sum over all processes, only to measure ours beside it.
static inline int carat_mpi_sum(float *values, int count, carat_communicator communicator) {
  return MPI_Allreduce(MPI_IN_PLACE, values, count, MPI_FLOAT, MPI_SUM, communicator.handle);
}

static const int carat_mpi_success = MPI_SUCCESS;
static const int carat_mpi_max_text = MPI_MAX_ERROR_STRING;
static const int carat_mpi_max_version = MPI_MAX_LIBRARY_VERSION_STRING;

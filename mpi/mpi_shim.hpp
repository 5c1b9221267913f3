#pragma once

// MPI, without the C++ bindings that MPI 3 took out (CMake says so).
#include <mpi.h>

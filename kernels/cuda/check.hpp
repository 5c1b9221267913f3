#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <string>

namespace paceline::cuda {

/// Throws std::runtime_error "<what>: <error name>: <description>" unless `status` is success.
/// `what` names the operation, its shape, and file and line.
void check(cudaError_t status, const char* what);
void check(cublasStatus_t status, const char* what);
inline void check(cudaError_t status, const std::string& what) {
  check(status, what.c_str());
}
inline void check(cublasStatus_t status, const std::string& what) {
  check(status, what.c_str());
}

}  // namespace paceline::cuda

#define PACELINE_CUDA_TEXT_(x) #x
#define PACELINE_CUDA_TEXT(x) PACELINE_CUDA_TEXT_(x)
/// PACELINE_CHECK(cudaMalloc(...)): the call's text, file and line in the error.
#define PACELINE_CHECK(call) \
  ::paceline::cuda::check(call, #call " at " __FILE__ ":" PACELINE_CUDA_TEXT(__LINE__))

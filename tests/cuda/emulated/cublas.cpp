#include <cublas_v2.h>

#include <cmath>
#include <vector>

#include "tests/cuda/emulated/runtime.hpp"

struct cublasContext {
  cudaStream_t stream = nullptr;
};

namespace {

struct Matrix {
  const float* first;
  std::ptrdiff_t row, column;  // steps
  Matrix(const float* at, int leading, cublasOperation_t op)
      : first(at), row(op == CUBLAS_OP_N ? 1 : leading), column(op == CUBLAS_OP_N ? leading : 1) {}
};

void multiply(Matrix a, Matrix b, int m, int n, int k, float alpha, float beta, float* c,
              int row_c) {
  const bool too_long = static_cast<double>(m) * n * k > 0x1p34;
  std::vector<double> sums(static_cast<std::size_t>(m));
  for (std::ptrdiff_t j = 0; j < n; ++j) {
    std::fill(sums.begin(), sums.end(), too_long ? std::nan("") : 0.0);
    for (std::ptrdiff_t p = 0; p < (too_long ? 0 : k); ++p) {
      const double factor = b.first[p * b.row + j * b.column];
      const float* from = a.first + p * a.column;
      for (std::ptrdiff_t i = 0; i < m; ++i)
        sums[static_cast<std::size_t>(i)] += factor * from[i * a.row];
    }
    for (std::ptrdiff_t i = 0; i < m; ++i) {
      float& out = c[i + j * row_c];
      // C is not read where beta is 0.
      out = static_cast<float>(alpha * sums[static_cast<std::size_t>(i)] +
                               (beta == 0 ? 0.0 : double{beta} * out));
    }
  }
}

}  // namespace

const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "CUBLAS_STATUS_SUCCESS" : "CUBLAS_STATUS_INVALID_VALUE";
}
cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t, void*, std::size_t) {
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasGetProperty(libraryPropertyType, int* value) {
  *value = 0;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                           int m, int n, int k, const float* alpha, const float* a, int row_a,
                           const float* b, int row_b, const float* beta, float* c, int row_c) {
  return cublasSgemmStridedBatched(handle, op_a, op_b, m, n, k, alpha, a, row_a, 0, b, row_b, 0,
                                   beta, c, row_c, 0, 1);
}
cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t op_a,
                                         cublasOperation_t op_b, int m, int n, int k,
                                         const float* alpha, const float* a, int row_a,
                                         long long step_a, const float* b, int row_b,
                                         long long step_b, const float* beta, float* c, int row_c,
                                         long long step_c, int count) {
  // As cuBLAS checks them.
  if (m < 0 || n < 0 || k < 0 || count < 0 || row_a < std::max(1, op_a == CUBLAS_OP_N ? m : k) ||
      row_b < std::max(1, op_b == CUBLAS_OP_N ? k : n) || row_c < std::max(1, m))
    return CUBLAS_STATUS_INVALID_VALUE;
  paceline::cuda::emulation::enqueue(handle->stream, [=, alpha = *alpha, beta = *beta] {
    for (long long i = 0; i < count; ++i)
      multiply(Matrix(a + i * step_a, row_a, op_a), Matrix(b + i * step_b, row_b, op_b), m, n, k,
               alpha, beta, c + i * step_c, row_c);
  });
  return CUBLAS_STATUS_SUCCESS;
}

#include "kernels/plain.hpp"

namespace paceline::kernels::reference {

template <class T>
void matrix_product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                    std::int64_t k, const T* a, const T* b, bool accumulate, T* c) {
  if (!accumulate) std::fill(c, c + m * n, T(0));
  const auto a_at = [=](std::int64_t i, std::int64_t l) {
    return transpose_a ? a[l * m + i] : a[i * k + l];
  };
  for (std::int64_t i = 0; i < m; ++i) {
    T* row = c + i * n;
    if (transpose_b) {
      for (std::int64_t j = 0; j < n; ++j) {
        const T* column = b + j * k;
        row[j] += interleaved_sum<T>(k, [&](std::int64_t l) { return a_at(i, l) * column[l]; });
      }
    } else {
      for (std::int64_t l = 0; l < k; ++l) {
        const T factor = a_at(i, l);
        for (std::int64_t j = 0; j < n; ++j) row[j] += factor * b[l * n + j];
      }
    }
  }
}

template void matrix_product(bool, bool, std::int64_t, std::int64_t, std::int64_t, const float*,
                             const float*, bool, float*);
template void matrix_product(bool, bool, std::int64_t, std::int64_t, std::int64_t, const double*,
                             const double*, bool, double*);

}  // namespace paceline::kernels::reference

#pragma once

#include <cstdint>

namespace paceline::kernels {

/// C [m,n] = op(A) op(B), or C += if `accumulate`; op(A) is [m,k] and op(B) [k,n], transposed in
/// memory where so marked. Row-major without gaps.
template <class T>
using MatrixProduct = void (*)(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                               std::int64_t k, const T* a, const T* b, bool accumulate, T* c);

namespace reference {

template <class T>
void matrix_product(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                    std::int64_t k, const T* a, const T* b, bool accumulate, T* c);

}  // namespace reference
}  // namespace paceline::kernels

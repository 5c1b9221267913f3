#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "base/error.hpp"
#include "kernels/cuda_module.hpp"
#include "kernels/plain.hpp"

namespace paceline::kernels {

/// A test that needs a GPU: skips with the loader's reason where there is none, or fails with it if
/// PACELINE_REQUIRE_GPU=1 says that there is one.
class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    try {
      gpu_ = load_cuda_backend(0);
    } catch (const InputError& error) {
      const char* required = std::getenv("PACELINE_REQUIRE_GPU");
      if (required != nullptr && *required == '1') FAIL() << error.what();
      GTEST_SKIP() << "NOT RUN: " << error.what();
    }
  }

  template <class T>
  Array<T> to_gpu(const std::vector<T>& host) {
    Array<T> array(*gpu_, host.size());
    gpu_->copy_from_host(array.data(), host.data(), host.size() * sizeof(T));
    return array;
  }
  template <class T>
  std::vector<T> to_host(const Array<T>& array) {
    std::vector<T> host(array.size());
    gpu_->copy_to_host(host.data(), array.data(), host.size() * sizeof(T));
    return host;
  }
  /// Memory that holds NaN, or -1 as an integer: an element that is not written shows.
  template <class T>
  Array<T> poisoned(std::size_t n) {
    std::vector<T> host(n);
    std::memset(host.data(), 0xff, n * sizeof(T));
    return to_gpu(host);
  }

  /// Whether the GPU is that of tests/cuda/emulated.
  [[nodiscard]] bool emulated() const {
    return gpu_->device().name.find("emulation") != std::string::npos;
  }

  std::unique_ptr<CudaBackend> gpu_;
};

/// An environment variable for the length of a test.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

inline std::vector<float> normal_values(std::size_t n, unsigned seed, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> draw(0.0f, scale);
  std::vector<float> values(n);
  for (float& value : values) value = draw(engine);
  return values;
}

template <class T>
void expect_same_bits(const std::vector<T>& got, const std::vector<T>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    ASSERT_EQ(std::memcmp(&got[i], &want[i], sizeof(T)), 0)
        << "at " << i << ": " << got[i] << " for " << want[i];
  }
}

/// ||got - want|| / ||want||; infinite if anything is not finite.
inline double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i])) return INFINITY;
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(difference / std::max(size, 1e-30));
}

}  // namespace paceline::kernels

#include "kernels/operations/reference.hpp"

#include <fmt/format.h>

#include <stdexcept>

#ifdef __clang__
#define PACELINE_INDEPENDENT
#else
#define PACELINE_INDEPENDENT _Pragma("GCC ivdep")
#endif

namespace paceline::kernels {
namespace {

// An output is an input or apart from all: no element depends on another, which the compiler cannot
// know.
template <class Op, std::size_t... R, std::size_t... W>
void loop(const Op op, std::size_t n, const float* const (&in)[sizeof...(R) + 1],
          float* const (&out)[sizeof...(W)], std::index_sequence<R...>, std::index_sequence<W...>) {
  PACELINE_INDEPENDENT
  for (std::size_t i = 0; i < n; ++i) {
    const float x[sizeof...(R) + 1] = {in[R][i]...};
    float y[sizeof...(W)];
    apply_to_element(op, x, y);
    ((out[W][i] = y[W]), ...);
  }
}

template <class Op>
void run(const PointwiseCall& call, Inputs in, Outputs out) {
  constexpr std::size_t reads = Op::reads.size(), writes = Op::writes.size();
  const float* from[reads + 1] = {};
  float* to[writes] = {};
  for (std::size_t i = 0; i < reads; ++i) from[i] = in[i].data();
  for (std::size_t i = 0; i < writes; ++i) to[i] = out[i].data();
  loop(call.as<Op>(), out.front().size(), from, to, std::make_index_sequence<reads>(),
       std::make_index_sequence<writes>());
}

using Loop = void (*)(const PointwiseCall&, Inputs, Outputs);
constexpr auto kLoops = []<std::size_t... I>(std::index_sequence<I...>) {
  return std::array<Loop, kPointwiseCount>{run<std::tuple_element_t<I, PointwiseList>>...};
}
(std::make_index_sequence<kPointwiseCount>());

}  // namespace

std::size_t PointwiseCall::check(Inputs in, Outputs out) const {
  const OperationInfo& what = info();
  if (in.size() != what.reads.size() || out.size() != what.writes.size())
    throw std::logic_error(fmt::format("{} reads {} vectors and writes {}, given {} and {}",
                                       what.name, what.reads.size(), what.writes.size(), in.size(),
                                       out.size()));
  const std::size_t n = out.front().size();
  const auto is = [&](std::size_t size, std::string_view which) {
    if (size != n)
      throw std::logic_error(fmt::format("{}: '{}' has {} elements and '{}' {}", what.name, which,
                                         size, what.writes.front(), n));
  };
  for (std::size_t i = 0; i < in.size(); ++i) is(in[i].size(), what.reads[i]);
  for (std::size_t i = 0; i < out.size(); ++i) is(out[i].size(), what.writes[i]);
  return n;
}

namespace reference {

void apply(const PointwiseCall& call, Inputs in, Outputs out) {
  call.check(in, out);
  kLoops[call.index()](call, in, out);
}

}  // namespace reference
}  // namespace paceline::kernels

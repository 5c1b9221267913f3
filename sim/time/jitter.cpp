#include "sim/time/jitter.hpp"

#include <boost/math/distributions/gamma.hpp>
#include <boost/math/distributions/normal.hpp>
#include <cmath>

namespace paceline {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014) as a hash of the three counters.
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

double uniform(std::uint64_t seed, std::uint64_t worker, std::uint64_t step) {
  const std::uint64_t bits = mix(mix(mix(seed) ^ worker) ^ step);
  return (static_cast<double>(bits >> 11) + 0.5) * 0x1.0p-53;  // in (0, 1)
}

}  // namespace

double jitter_factor(const Jitter& jitter, double p25_over_median, double p75_over_median,
                     std::uint64_t seed, std::uint64_t worker, std::uint64_t step) {
  using Distribution = Jitter::Distribution;
  if (jitter.distribution == Distribution::none) return 1;
  const double u = uniform(seed, worker, step);
  const boost::math::normal standard;
  switch (jitter.distribution) {
    case Distribution::normal:
      return std::max(0.05, 1 + jitter.cv * quantile(standard, u));
    case Distribution::lognormal: {
      const double variance = std::log1p(jitter.cv * jitter.cv);
      return std::exp(-variance / 2 + std::sqrt(variance) * quantile(standard, u));
    }
    case Distribution::gamma: {
      if (jitter.cv == 0) return 1;
      const double shape = 1 / (jitter.cv * jitter.cv);
      return quantile(boost::math::gamma_distribution<>(shape, 1 / shape), u);
    }
    case Distribution::profile: {
      const double z75 = quantile(standard, 0.75);
      return std::exp((std::log(p75_over_median) - std::log(p25_over_median)) / (2 * z75) *
                      quantile(standard, u));
    }
    case Distribution::none:
      break;
  }
  return 1;
}

}  // namespace paceline

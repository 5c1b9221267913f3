#include "models/network/network.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "base/error.hpp"
#include "models/network/execution.hpp"

namespace paceline {
namespace {

std::size_t size(std::int64_t n) {
  return static_cast<std::size_t>(n);
}

}  // namespace

struct Network::Run : Execution<float, kernels::Backend> {
  using Execution::Execution;
};

Network::Network(const Model& model, kernels::Backend& backend, std::int64_t batch)
    : batch_(batch),
      backend_(&backend),
      run_(std::make_unique<Run>(plan_network(model, batch), backend)) {
  for (const NetworkLoss& loss : plan().losses)
    backend.write(std::array{static_cast<float>(loss.weight), 0.0f}, run_->gradient(loss.gradient));
}
Network::~Network() = default;
Network::Network(Network&&) noexcept = default;

const NetworkPlan& Network::plan() const {
  return run_->plan();
}

std::int64_t Network::memory_bytes() const {
  std::int64_t elements = plan().state_elements;
  for (const auto* arrays : {&plan().values, &plan().gradients})
    for (const kernels::Dims& dims : *arrays) elements += kernels::elements(dims);
  return elements * static_cast<std::int64_t>(sizeof(float));
}

void Network::load(const Batch& batch) {
  const auto write = [&](const char* what, std::size_t value, const std::vector<float>& host) {
    const std::int64_t expected = kernels::elements(plan().values[value]);
    if (static_cast<std::int64_t>(host.size()) != expected)
      throw InputError(fmt::format("a batch of {} samples needs {} {}, found {}", batch_, expected,
                                   what, host.size()));
    backend_->write(host, run_->value(value));
  };
  write("input values", plan().input, batch.inputs);
  write("labels", plan().labels, batch.labels);
}

void Network::forward(std::size_t from, std::size_t to, std::span<const float> parameters,
                      bool training, std::uint64_t seed) {
  if (from > to || to > tensors() || parameters.size() != size(this->parameters()))
    throw std::logic_error("forward: positions or parameters of another network");
  run_->forward(plan().forward_end[from], plan().forward_end[to], parameters.data(), training,
                seed);
}

void Network::backward(std::size_t from, std::size_t to, std::span<const float> parameters,
                       std::span<float> gradient) {
  if (from > to || to > tensors() || parameters.size() != size(this->parameters()) ||
      gradient.size() != parameters.size())
    throw std::logic_error("backward: positions, parameters or gradient of another network");
  run_->backward(plan().backward_end[from], plan().backward_end[to], parameters.data(),
                 gradient.data());
}

float Network::loss() const {
  float sum = 0;
  for (const NetworkLoss& loss : plan().losses) {
    std::array<float, 2> result{};
    backend_->read(run_->value(plan().steps[loss.step].output), result);
    sum += static_cast<float>(loss.weight) * result[0];
  }
  return sum;
}

std::int64_t Network::correct() const {
  std::array<float, 2> result{};
  backend_->read(run_->value(plan().steps[plan().losses.back().step].output), result);
  return static_cast<std::int64_t>(result[1]);
}

std::int64_t Network::rows() const {
  return plan().losses.back().rows;
}

void Network::read_state(std::span<float> host) const {
  if (host.size() != size(state_elements())) throw std::logic_error("state of another network");
  backend_->copy_to_host(host.data(), run_->state(), host.size_bytes());
}

void Network::write_state(std::span<const float> host) {
  if (host.size() != size(state_elements())) throw std::logic_error("state of another network");
  backend_->copy_from_host(run_->state(), host.data(), host.size_bytes());
}

void Network::forget() {
  for (const StateSlot& slot : plan().state)
    if (!slot.statistics) backend_->fill(0, {run_->state() + slot.offset, size(slot.elements)});
}

}  // namespace paceline

#include "kernels/lstm/lstm.hpp"

#include <cmath>

#include "kernels/image_shape.hpp"
#include "kernels/plain.hpp"
#include "kernels/pointwise/pointwise.hpp"

namespace paceline::kernels {

std::vector<Dims> LstmShape::parameter_dims() const {
  std::vector<Dims> all{{4 * hidden, inputs}, {4 * hidden, hidden}};
  for (int i = 0; i < biases; ++i) all.push_back({4 * hidden});
  return all;
}
void LstmShape::check() const {
  need_positive("lstm",
                {{"batch", batch}, {"steps", steps}, {"inputs", inputs}, {"hidden", hidden}});
  need(biases >= 0 && biases <= 2, "lstm", "has 0, 1 or 2 biases");
}

namespace {

// Inside, everything is time-major, so that one step is contiguous: [steps, batch, ...].
template <class T>
void swap_leading(std::int64_t outer, std::int64_t inner, std::int64_t size, const T* from, T* to) {
  for (std::int64_t i = 0; i < outer; ++i)
    for (std::int64_t j = 0; j < inner; ++j)
      std::copy_n(from + (i * inner + j) * size, size, to + (j * outer + i) * size);
}

template <class T>
class Lstm final : public BasicLayer<T> {
 public:
  Lstm(const LstmShape& shape, MatrixProduct<T> multiply)
      : shape_(shape),
        multiply_(multiply),
        rows_(shape.batch * shape.steps),
        x_(size(rows_ * shape.inputs)),
        gates_(size(rows_ * 4 * shape.hidden)),
        h_(size((rows_ + shape.batch) * shape.hidden)),
        c_(h_.size()) {}

  void forward(const ForwardPass<T>& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::int64_t state = batch * hidden;
    swap_leading(batch, steps, inputs, values<T>(*pass.inputs[0]), x_.data());
    std::copy_n(pass.state, state, h_.data());
    std::copy_n(pass.state + state, state, c_.data());
    start_gates(pass.parameters);
    multiply_(false, true, rows_, 4 * hidden, inputs, x_.data(), pass.parameters[0], true,
              gates_.data());
    for (std::int64_t t = 0; t < steps; ++t) {
      T* gates = gates_.data() + t * 4 * state;
      multiply_(false, true, batch, 4 * hidden, hidden, h_.data() + t * state, pass.parameters[1],
                true, gates);
      step(gates, c_.data() + t * state, h_.data() + (t + 1) * state);
    }
    std::copy_n(h_.data() + steps * state, state, pass.state);
    std::copy_n(c_.data() + steps * state, state, pass.state + state);
    swap_leading(steps, batch, hidden, h_.data() + state, values<T>(pass.output));
  }

  void backward(const BackwardPass<T>& pass) override {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    const std::int64_t state = batch * hidden;
    std::vector<T> dh_all(size(rows_ * hidden)), dgates(gates_.size());
    std::vector<T> dh(size(state), T(0)), dc(size(state), T(0));
    swap_leading(batch, steps, hidden, values<T>(pass.output_gradient), dh_all.data());
    for (std::int64_t t = steps - 1; t >= 0; --t) {
      for (std::int64_t i = 0; i < state; ++i) dh[size(i)] += dh_all[size(t * state + i)];
      T* d = dgates.data() + t * 4 * state;
      step_gradient(gates_.data() + t * 4 * state, c_.data() + t * state, dh.data(), dc.data(), d);
      multiply_(false, false, batch, hidden, 4 * hidden, d, pass.parameters[1], false, dh.data());
    }
    if (Activation* dx = pass.input_gradients[0]) {
      std::vector<T> dx_time(x_.size());
      multiply_(false, false, rows_, inputs, 4 * hidden, dgates.data(), pass.parameters[0], false,
                dx_time.data());
      swap_leading(steps, batch, inputs, dx_time.data(), values<T>(*dx));
    }
    if (pass.parameter_gradients[0]) parameter_gradients(dgates, pass.parameter_gradients);
  }

 private:
  static std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

  void start_gates(std::span<const T* const> parameters) {
    std::fill(gates_.begin(), gates_.end(), T(0));
    const std::int64_t width = 4 * shape_.hidden;
    for (const T* bias : parameters.subspan(2))
      for (std::int64_t row = 0; row < rows_; ++row)
        for (std::int64_t j = 0; j < width; ++j) gates_[size(row * width + j)] += bias[j];
  }

  // Turns one step's sums into gate values in place; c points to c_{t-1}, followed by c_t.
  void step(T* gates, T* c, T* h) const {
    const std::int64_t hidden = shape_.hidden, state = shape_.batch * hidden;
    for (std::int64_t n = 0; n < shape_.batch; ++n)
      for (std::int64_t j = 0; j < hidden; ++j) {
        T* gate = gates + n * 4 * hidden + j;
        for (std::int64_t k : {0, 1, 3})
          gate[k * hidden] = reference::pointwise(PointwiseFunction::sigmoid, gate[k * hidden]);
        gate[2 * hidden] = reference::pointwise(PointwiseFunction::tanh, gate[2 * hidden]);
        const std::int64_t i = n * hidden + j;
        c[state + i] = gate[hidden] * c[i] + gate[0] * gate[2 * hidden];
        h[i] = gate[3 * hidden] * reference::pointwise(PointwiseFunction::tanh, c[state + i]);
      }
  }

  // From dh_t (whole) and dc_t (what comes from step t+1): the gradient of the sums, and dc_{t-1}
  // in dc.
  void step_gradient(const T* gates, const T* c, const T* dh, T* dc, T* dgates) const {
    const std::int64_t hidden = shape_.hidden, state = shape_.batch * hidden;
    for (std::int64_t n = 0; n < shape_.batch; ++n)
      for (std::int64_t j = 0; j < hidden; ++j) {
        const std::int64_t i = n * hidden + j;
        const T* gate = gates + n * 4 * hidden + j;
        T* d = dgates + n * 4 * hidden + j;
        const T in = gate[0], forget = gate[hidden], cell = gate[2 * hidden],
                out = gate[3 * hidden];
        const T tanh_c = reference::pointwise(PointwiseFunction::tanh, c[state + i]);
        const T dc_now = dc[i] + dh[i] * out * (1 - tanh_c * tanh_c);
        d[0] = dc_now * cell * in * (1 - in);
        d[hidden] = dc_now * c[i] * forget * (1 - forget);
        d[2 * hidden] = dc_now * in * (1 - cell * cell);
        d[3 * hidden] = dh[i] * tanh_c * out * (1 - out);
        dc[i] = dc_now * forget;
      }
  }

  void parameter_gradients(const std::vector<T>& dgates, std::span<T* const> gradients) const {
    const auto [batch, steps, inputs, hidden, biases] = shape_;
    multiply_(true, false, 4 * hidden, inputs, rows_, dgates.data(), x_.data(), false,
              gradients[0]);
    multiply_(true, false, 4 * hidden, hidden, rows_, dgates.data(), h_.data(), false,
              gradients[1]);
    for (T* bias : gradients.subspan(2)) {
      std::fill_n(bias, 4 * hidden, T(0));
      for (std::int64_t row = 0; row < rows_; ++row)
        for (std::int64_t j = 0; j < 4 * hidden; ++j) bias[j] += dgates[size(row * 4 * hidden + j)];
    }
  }

  LstmShape shape_;
  MatrixProduct<T> multiply_;
  std::int64_t rows_;
  std::vector<T> x_, gates_;  // of all steps; gates after their nonlinearity
  std::vector<T> h_, c_;      // steps + 1 states, the starting one first
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> make_lstm(const LstmShape& shape, MatrixProduct<T> multiply) {
  return std::make_unique<Lstm<T>>(shape, multiply);
}
template std::unique_ptr<BasicLayer<float>> make_lstm(const LstmShape&, MatrixProduct<float>);

template <class T>
std::unique_ptr<BasicLayer<T>> LstmShape::make_reference() const {
  return make_lstm<T>(*this, reference::matrix_product<T>);
}
template std::unique_ptr<BasicLayer<float>> LstmShape::make_reference() const;
template std::unique_ptr<BasicLayer<double>> LstmShape::make_reference() const;

}  // namespace paceline::kernels

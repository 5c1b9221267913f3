#include "kernels/plain.hpp"

#include "kernels/arrange/arrange.hpp"
#include "kernels/batch_norm/batch_norm.hpp"
#include "kernels/conv2d/conv2d.hpp"
#include "kernels/dense/dense.hpp"
#include "kernels/dropout/dropout.hpp"
#include "kernels/embedding/embedding.hpp"
#include "kernels/layer_norm/layer_norm.hpp"
#include "kernels/lrn/lrn.hpp"
#include "kernels/lstm/lstm.hpp"
#include "kernels/pointwise/pointwise.hpp"
#include "kernels/pool/pool.hpp"
#include "kernels/softmax_loss/softmax_loss.hpp"

namespace paceline::kernels {
namespace {

template <class T>
struct Make {
  using Made = std::unique_ptr<BasicLayer<T>>;
  Made operator()(const Conv2dShape& s) const { return make_conv2d<T>(s); }
  Made operator()(const DenseShape& s) const { return make_dense<T>(s); }
  Made operator()(const BatchNormShape& s) const { return make_batch_norm<T>(s); }
  Made operator()(const LayerNormShape& s) const { return make_layer_norm<T>(s); }
  Made operator()(const PointwiseShape& s) const { return make_pointwise<T>(s); }
  Made operator()(const PoolShape& s) const { return make_pool<T>(s); }
  Made operator()(const LrnShape& s) const { return make_lrn<T>(s); }
  Made operator()(const AddShape& s) const { return make_add<T>(s); }
  Made operator()(const ConcatShape& s) const { return make_concat<T>(s); }
  Made operator()(const ReshapeShape& s) const { return make_reshape<T>(s); }
  Made operator()(const SubsamplePadShape& s) const { return make_subsample_pad<T>(s); }
  Made operator()(const DropoutShape& s) const { return make_dropout<T>(s); }
  Made operator()(const EmbeddingShape& s) const { return make_embedding<T>(s); }
  Made operator()(const LstmShape& s) const { return make_lstm<T>(s); }
  Made operator()(const SoftmaxLossShape& s) const { return make_softmax_loss<T>(s); }
};

}  // namespace

template <class T>
std::unique_ptr<BasicLayer<T>> make_reference_layer(const LayerShape& shape) {
  check_shape(shape);
  return std::visit(Make<T>{}, shape);
}
template std::unique_ptr<BasicLayer<float>> make_reference_layer(const LayerShape&);
template std::unique_ptr<BasicLayer<double>> make_reference_layer(const LayerShape&);

}  // namespace paceline::kernels

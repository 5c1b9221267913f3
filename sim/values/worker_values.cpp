#include "sim/values/worker_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace paceline {
namespace {

struct Selecting {
  Operands& operands;
  Selector selector;
  std::int64_t k;
  std::uint64_t seed;
};

// residual += factor * gradient; what is selected of it moves to `pairs`.
void select_from(const Selecting& how, double factor, std::span<const float> gradient,
                 std::vector<float>& residual, SparseData& pairs) {
  Operands& operands = how.operands;
  kernels::Backend& on = operands.backend();
  const auto n = static_cast<std::int64_t>(residual.size());
  const std::span<const float> g = operands.read(gradient);
  const std::span<float> all = operands.change(std::span<float>(residual));
  const auto pairs_of = [&](std::int64_t count) -> kernels::SparseOutput {
    pairs.indices.resize(static_cast<std::size_t>(count));
    pairs.values.resize(static_cast<std::size_t>(count));
    return {operands.write(std::span<std::int32_t>(pairs.indices)),
            operands.write(std::span<float>(pairs.values))};
  };
  const bool sampled = how.selector == Selector::dgc_sample;
  if (sampled || how.selector == Selector::gaussian_k) {
    on.axpy(factor, g, all);
    const float threshold =
        sampled ? on.sampled_threshold(all, how.k, std::min<std::int64_t>(100, n), how.seed)
                : on.gaussian_threshold(all, how.k);
    const kernels::SparseOutput out = pairs_of(on.count_reaching(all, threshold));
    on.select_reaching(all, threshold, out);
    on.clear_at(out.indices, all);
  } else {
    on.error_feedback_top_k(factor, g, all, pairs_of(std::min(how.k, n)));
  }
  operands.done();
}

// They keep the engine whose backend they are of.
std::shared_ptr<Operands> operands_of(const std::shared_ptr<WorkerEngine>& engine) {
  struct Kept {
    std::shared_ptr<WorkerEngine> engine;
    Operands operands;
  };
  const auto kept = std::make_shared<Kept>(Kept{engine, Operands(engine->backend())});
  return {kept, &kept->operands};
}

}  // namespace

DeviceValues::Launch DeviceValues::compute(std::vector<Tensor> reads, BufferRef result,
                                           ValueFunction f) {
  for (const Tensor& read : reads)
    if (!read.values()) throw std::logic_error("an operation reads a tensor without values");
  return [this, reads = std::move(reads), result = std::move(result), f = std::move(f)] {
    result->written = strand_.post(
        [inputs = views(reads), out = result->data, elements = result->elements(), f] {
          out->resize(elements);
          std::vector<std::span<const float>> spans;
          for (const View& input : inputs) spans.push_back(input.read());
          f(spans, *out);
        },
        written(reads));
    note_readers(reads, &strand_, result->written);
    for (const Tensor& read : reads) inherit(*result, read);
  };
}

void DeviceValues::note_applied(const Versions& weights, const Tensor& gradient) {
  const std::int64_t from = gradient.offset(), count = gradient.elements();
  const std::int64_t read_at = buffer_of(gradient).lineage.read_at.newest(from, count);
  if (read_at != Versions::kNone) metrics_.applied(weights.newest(from, count) - read_at);
}

DeviceValues::Launch DeviceValues::new_version(const Tensor& weights, const Tensor& gradient,
                                               BufferRef result, Launch launch) {
  return [this, weights, gradient, result = std::move(result), launch = std::move(launch)] {
    launch();
    const Versions& before = buffer_of(weights).lineage.version;
    note_applied(before, gradient);
    result->lineage.version.set_all(before.newest(weights.offset(), weights.elements()) + 1);
  };
}

DeviceValues::Launch DeviceValues::apply(const kernels::Call& call, std::vector<Tensor> reads,
                                         std::vector<BufferRef> results,
                                         std::shared_ptr<Operands> on) {
  for (const Tensor& read : reads)
    if (!read.values()) throw std::logic_error("an operation reads a tensor without values");
  return [this, call, reads = std::move(reads), results = std::move(results), on = std::move(on)] {
    std::vector<std::pair<Floats, std::size_t>> data;
    for (const BufferRef& result : results) data.emplace_back(result->data, result->elements());
    const TaskGraph::Ref task = strand_.post(
        [call, inputs = views(reads), data, on] {
          Operands host(host_backend());
          Operands& operands = on ? *on : host;
          std::vector<std::span<const float>> in;
          std::vector<std::span<float>> out;
          for (const View& input : inputs) in.push_back(operands.read(input.read()));
          for (const auto& [floats, elements] : data) {
            floats->resize(elements);
            out.push_back(operands.write(std::span<float>(*floats)));
          }
          call(operands.backend(), in, out);
          operands.done();
        },
        written(reads));
    note_readers(reads, &strand_, task);
    for (const BufferRef& result : results) {
      result->written = task;
      for (const Tensor& read : reads) inherit(*result, read);
    }
  };
}

WorkerValues::WorkerValues(TaskGraph& graph, TrainingMetrics& metrics, ValueEngine& engine,
                           std::size_t rank, const ModelShape& model, std::int64_t steps,
                           std::int64_t accumulation)
    : DeviceValues(graph, metrics),
      values_(engine),
      engine_(engine.make_worker(rank)),
      operands_(operands_of(engine_)),
      model_(model),
      accumulation_(accumulation),
      velocity_(graph.ledger().floats(std::vector<float>(
          engine.momentum() > 0 ? static_cast<std::size_t>(model.elements) : 0))),
      losses_(graph.ledger().floats(std::vector<float>(static_cast<std::size_t>(steps), NAN))),
      read_at_(model.tensors.size(), Versions::kNone) {
  if (accumulation > 1)
    accumulated_ =
        graph.ledger().floats(std::vector<float>(static_cast<std::size_t>(model.elements)));
  graph.ledger().add(*this);
}

BufferRef WorkerValues::fresh_gradient() {
  for (const BufferRef& gradient : gradients_)
    if (gradient->references() == 1) return gradient;
  gradients_.emplace_back(new Buffer(strand_.graph(), static_cast<std::size_t>(model_.elements)));
  gradients_.back()->in_place_of = &strand_;
  return gradients_.back();
}

void WorkerValues::forward(std::uint32_t from, std::uint32_t to, std::int64_t step,
                           const Tensor& parameters) {
  const auto end = static_cast<std::uint32_t>(model_.tensors.size());
  step_ = step;
  for (std::uint32_t t = from; t < to; ++t)
    read_at_[t] = buffer_of(parameters)
                      .lineage.version.newest(model_.tensors[t].offset, model_.tensors[t].elements);
  // The worker is in the pass once its first task is posted: a run may be saved just before, or
  // filled in, and then this pass is not noted from here on.
  std::shared_ptr<PassLog> pass = pass_;
  if (from == 0)
    pass = strand_.graph().ledger().recording()
               ? std::make_shared<PassLog>(step, accumulation_, end)
               : nullptr;
  const TaskGraph::Ref task = strand_.post(
      [engine = engine_, weights = View(parameters), from, to, end, step,
       accumulated = accumulated_, micro_batches = accumulation_, losses = losses_,
       &metrics = metrics_, pass] {
        if (pass && from == 0) pass->begin(*engine);
        if (pass) pass->piece(PassLog::Kind::forward, from, to, weights.read());
        float beyond = 0;  // of steps after the last one
        const auto at = static_cast<std::size_t>(step);
        float& loss = at < losses->size() ? (*losses)[at] : beyond;
        if (from == 0) {
          // Earlier micro-batches of the step, in one piece.
          loss = 0;
          if (accumulated) std::fill(accumulated->begin(), accumulated->end(), 0.0F);
          std::vector<float> gradient(accumulated ? accumulated->size() : 0);
          earlier_micro_batches(*engine, step, micro_batches, end, weights.read(), gradient, [&] {
            for (std::size_t i = 0; i < gradient.size(); ++i) (*accumulated)[i] += gradient[i];
            loss += engine->loss();
          });
          engine->load(step, micro_batches - 1);
        }
        engine->forward(from, to, weights.read(), step);
        if (to < end) return;
        loss = (loss + engine->loss()) / static_cast<float>(micro_batches);
        metrics.passed(loss);
      },
      {buffer_of(parameters).written});
  in_pass_ = true;
  pass_ = std::move(pass);
  buffer_of(parameters).note_reader(&strand_, task);
}

void WorkerValues::backward(std::uint32_t from, std::uint32_t to, const Tensor& parameters,
                            Buffer& gradient) {
  const std::shared_ptr<PassLog> pass = pass_;
  std::vector<TaskGraph::Ref> after = std::move(gradient.readers);
  gradient.readers.clear();
  after.push_back(buffer_of(parameters).written);
  for (std::uint32_t p = from; p < to; ++p) {
    const TensorId t = model_.backward_order[p];
    gradient.lineage.read_at.set(model_.tensors[t].offset, model_.tensors[t].elements, read_at_[t]);
  }
  gradient.written = strand_.post(
      [engine = engine_, weights = View(parameters), out = gradient.data, from, to,
       accumulated = accumulated_, share = 1.0F / static_cast<float>(accumulation_),
       &model = model_, pass] {
        if (pass) pass->piece(PassLog::Kind::backward, from, to, weights.read());
        out->resize(static_cast<std::size_t>(model.elements));
        engine->backward(from, to, weights.read(), *out);
        if (!accumulated) return;
        for (std::uint32_t p = from; p < to; ++p) {
          const ModelShape::Item& item = model.tensors[model.backward_order[p]];
          for (std::int64_t i = item.offset; i < item.offset + item.elements; ++i) {
            const auto at = static_cast<std::size_t>(i);
            (*out)[at] = ((*out)[at] + (*accumulated)[at]) * share;
          }
        }
      },
      std::move(after));
  if (to == model_.backward_order.size()) in_pass_ = false;
  pass_ = pass;
}

void WorkerValues::save(ArchiveWriter& archive) const {
  archive.put<std::uint8_t>(in_pass_ ? 1 : 0);
  if (in_pass_) {
    pass_->save(archive);
    return;
  }
  std::vector<float> state(static_cast<std::size_t>(engine_->state_elements()));
  engine_->read_state(state);
  archive.put(state);
}

void WorkerValues::load(ArchiveReader& archive) {
  if ((archive.get<std::uint8_t>() != 0) != in_pass_)
    throw std::logic_error("a checkpoint's worker is in another place of its step");
  if (in_pass_) {
    pass_ = std::make_shared<PassLog>(archive);
    pass_->repeat(*engine_);
    return;
  }
  std::vector<float> state;
  archive.get(state);
  engine_->write_state(state);
}

// Tensors are values: whoever holds a handle of the parameters keeps what it saw.
Buffer& WorkerValues::writable(Tensor& parameters) {
  Buffer& current = buffer_of(parameters);
  if (current.references() == 1 && current.in_place_of == &strand_) return current;
  const BufferRef own(new Buffer(strand_.graph(), current.elements()));
  own->in_place_of = &strand_;
  own->written =
      strand_.post([from = View(parameters),
                    to = own->data] { to->assign(from.read().begin(), from.read().end()); },
                   {current.written});
  current.note_reader(&strand_, own->written);
  own->lineage = current.lineage;
  parameters = Tensor(parameters.device(), parameters.elements(), 0, parameters.producer(), own);
  return *own;
}

void WorkerValues::update(const std::vector<Tensor>& gradients, double learning_rate,
                          Tensor& parameters) {
  Buffer& target = writable(parameters);
  std::vector<TaskGraph::Ref> after = written(gradients);
  for (TaskGraph::Ref& reader : target.readers) after.push_back(std::move(reader));
  target.readers.clear();
  std::vector<std::int64_t> offsets;
  Versions& version = target.lineage.version;
  for (const Tensor& gradient : gradients) {
    const std::int64_t from = gradient.offset(), count = gradient.elements();
    offsets.push_back(from);
    note_applied(version, gradient);
    version.set(from, count, version.newest(from, count) + 1);
  }
  target.written = strand_.post(
      [&values = values_, engine = engine_, operands = operands_, inputs = views(gradients),
       offsets, weights = target.data, velocity = velocity_, learning_rate] {
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          const std::span<const float> gradient = inputs[i].read();
          const auto at = static_cast<std::size_t>(offsets[i]);
          const std::span<float> own_velocity =
              velocity->empty() ? std::span<float>()
                                : std::span<float>(*velocity).subspan(at, gradient.size());
          values.update(*operands, learning_rate, gradient, own_velocity,
                        std::span<float>(*weights).subspan(at, gradient.size()));
        }
      },
      std::move(after));
  note_readers(gradients, &strand_, target.written);
}

void WorkerValues::assign(const Tensor& values, Tensor& parameters) {
  Buffer& target = writable(parameters);
  std::vector<TaskGraph::Ref> after{buffer_of(values).written};
  for (TaskGraph::Ref& reader : target.readers) after.push_back(std::move(reader));
  target.readers.clear();
  target.written = strand_.post(
      [from = View(values), to = target.data, at = values.offset()] {
        std::copy(from.read().begin(), from.read().end(), to->begin() + at);
      },
      std::move(after));
  buffer_of(values).note_reader(&strand_, target.written);
  const std::int64_t from = values.offset(), count = values.elements();
  target.lineage.version.set(from, count, buffer_of(values).lineage.version.newest(from, count));
}

DeviceValues::Launch WorkerValues::select(const Tensor& residual, double factor,
                                          const Tensor& gradient, std::int64_t k, Selector selector,
                                          std::uint64_t seed, SparseBufferRef sent,
                                          BufferRef rest) {
  if (residual.elements() != gradient.elements())
    throw std::logic_error(fmt::format("a residual of {} elements for a gradient of {}",
                                       residual.elements(), gradient.elements()));
  return [this, residual, factor, gradient, k, selector, seed, sent = std::move(sent),
          rest = std::move(rest)] {
    const std::vector<Tensor> reads{residual, gradient};
    const TaskGraph::Ref task = strand_.post(
        [inputs = views(reads), factor, k, selector, seed, pairs = sent->data, kept = rest->data,
         operands = operands_, engine = engine_] {
          const std::span<const float> before = inputs[0].read();
          kept->assign(before.begin(), before.end());
          select_from({*operands, selector, k, seed}, factor, inputs[1].read(), *kept, *pairs);
        },
        written(reads));
    note_readers(reads, &strand_, task);
    sent->written = rest->written = task;
    sent->read_at =
        buffer_of(gradient).lineage.read_at.newest(gradient.offset(), gradient.elements());
    if (!metrics_.sampled(step_)) return;
    const Tensor left(nullptr, gradient.elements(), gradient.offset(), {}, rest);
    metrics_.compressed(step_, left,
                        Sparse(Tensor(nullptr, k, gradient.offset(), {}, sent), gradient.elements(),
                               static_cast<double>(k)));
  };
}

DeviceValues::Launch WorkerValues::scatter(std::vector<Sparse> blocks, std::vector<double> weights,
                                           BufferRef result) {
  return
      [this, blocks = std::move(blocks), weights = std::move(weights), result = std::move(result)] {
        std::vector<TaskGraph::Ref> after;
        std::vector<std::shared_ptr<SparseData>> data;
        for (const Sparse& block : blocks) {
          after.push_back(buffer_of(block).written);
          data.push_back(buffer_of(block).data);
        }
        result->written = strand_.post(
            [data, weights, out = result->data, elements = result->elements(), operands = operands_,
             engine = engine_] {
              out->resize(elements);
              kernels::Backend& on = operands->backend();
              const std::span<float> sum = operands->write(std::span<float>(*out));
              on.fill(0, sum);
              for (std::size_t b = 0; b < data.size(); ++b) {
                const kernels::SparseView view{
                    operands->read(std::span<const std::int32_t>(data[b]->indices)),
                    operands->read(std::span<const float>(data[b]->values))};
                on.scatter_add(std::span(&view, 1), weights[b], sum);
              }
              operands->done();
            },
            std::move(after));
        std::int64_t read_at = Versions::kNone;
        for (const Sparse& block : blocks) read_at = std::max(read_at, buffer_of(block).read_at);
        result->lineage.read_at.set_all(read_at);
      };
}

DeviceValues::Launch WorkerValues::put_back(const Tensor& residual, const Sparse& sent,
                                            const Sparse& kept, BufferRef result) {
  return [this, residual, sent, kept, result = std::move(result)] {
    result->written = strand_.post(
        [rest = View(residual), own = buffer_of(sent).data, global = buffer_of(kept).data,
         out = result->data] {
          out->assign(rest.read().begin(), rest.read().end());
          for (std::size_t i = 0; i < own->indices.size(); ++i)
            if (!std::binary_search(global->indices.begin(), global->indices.end(),
                                    own->indices[i]))
              (*out)[static_cast<std::size_t>(own->indices[i])] += own->values[i];
        },
        {buffer_of(residual).written, buffer_of(sent).written, buffer_of(kept).written});
  };
}

}  // namespace paceline

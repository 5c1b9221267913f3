#include "sim/values/worker_values.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace paceline {
namespace {

ComputeDeviceRef device_of(const std::shared_ptr<WorkerEngine>& engine,
                           std::shared_ptr<DeviceMemory> memory) {
  // Memory of the backend may be held for longer than the worker is there.
  return std::make_shared<ComputeDevice>(ComputeDevice{
      std::shared_ptr<kernels::Backend>(engine, &engine->backend()), std::move(memory)});
}

// to[at...] = from in the device's memory, without a copy of all that `from` is of.
void copy(const View& from, HostDeviceVector<float>& to, std::size_t at, const ComputeDevice& on) {
  DeviceMemory* const where = on.memory.get();
  if (where != nullptr && from.device() == nullptr) {
    const std::span<const float> host = from.read();
    on.backend->copy_from_host(to.write(where, at, host.size()).data(), host.data(),
                               host.size_bytes());
  } else {
    const std::span<const float> here = from.read(where);
    on.backend->copy(to.write(where, at, here.size()).data(), here.data(), here.size_bytes());
  }
}

}  // namespace

WorkerValues::WorkerValues(TaskGraph& graph, TrainingMetrics& metrics, ValueEngine& engine,
                           std::size_t rank, const ModelShape& model, std::int64_t steps,
                           std::int64_t accumulation)
    : WorkerValues(graph, metrics, engine, engine.make_worker(rank), model, steps, accumulation) {}

WorkerValues::WorkerValues(TaskGraph& graph, TrainingMetrics& metrics, ValueEngine& engine,
                           std::shared_ptr<WorkerEngine> own, const ModelShape& model,
                           std::int64_t steps, std::int64_t accumulation)
    : DeviceValues(graph, metrics, device_of(own, engine.device_memory())),
      values_(engine),
      engine_(std::move(own)),
      model_(model),
      accumulation_(accumulation),
      velocity_(graph.state().floats(
          engine.momentum() > 0 ? static_cast<std::size_t>(model.elements) : 0)),
      losses_(graph.state().floats(std::vector<float>(static_cast<std::size_t>(steps), NAN))),
      read_at_(model.tensors.size(), Versions::kNone) {
  if (accumulation > 1)
    accumulated_ = graph.state().floats(static_cast<std::size_t>(model.elements));
  graph.state().add(*this);
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
    pass = strand_.graph().state().recording() ? std::make_shared<PassLog>(step, accumulation_, end)
                                               : nullptr;
  const TaskGraph::Ref task = post_on(
      device_,
      [engine = engine_, view = View(parameters), from, to, end, step, accumulated = accumulated_,
       micro_batches = accumulation_, losses = losses_, &metrics = metrics_,
       pass](const ComputeDevice& on) {
        if (pass && from == 0) pass->begin(*engine);
        if (pass) pass->piece(PassLog::Kind::forward, from, to, view.read());
        DeviceMemory* const where = on.memory.get();
        const std::span<const float> weights = view.read(where);
        float beyond = 0;  // of steps after the last one
        const auto at = static_cast<std::size_t>(step);
        float& loss = at < losses->size() ? losses->change(nullptr, at, 1).front() : beyond;
        if (from == 0) {
          // Earlier micro-batches of the step, in one piece.
          loss = 0;
          if (accumulated) {
            const std::span<float> sum = accumulated->write(where);
            HostDeviceVector<float> one(sum.size());
            const std::span<float> gradient = one.write(where);
            on.backend->fill(0, sum);
            earlier_micro_batches(*engine, step, micro_batches, end, weights, gradient, [&] {
              on.backend->axpy(1, gradient, sum);
              loss += engine->loss();
            });
            on.finish();  // `one` is given back
          }
          engine->load(step, micro_batches - 1);
        }
        engine->forward(from, to, weights, step);
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
  gradient.written = post_on(
      device_,
      [engine = engine_, view = View(parameters), out = gradient.data, from, to,
       accumulated = accumulated_, share = 1.0F / static_cast<float>(accumulation_),
       &model = model_, pass](const ComputeDevice& on) {
        if (pass) pass->piece(PassLog::Kind::backward, from, to, view.read());
        DeviceMemory* const where = on.memory.get();
        for (std::uint32_t p = from; p < to; ++p) {
          const ModelShape::Item& item = model.tensors[model.backward_order[p]];
          (void)out->write(where, static_cast<std::size_t>(item.offset),
                           static_cast<std::size_t>(item.elements));
        }
        const std::span<float> whole = out->whole(where);  // others may be reading the rest
        engine->backward(from, to, view.read(where), whole);
        if (!accumulated) return;
        for (std::uint32_t p = from; p < to; ++p) {
          const ModelShape::Item& item = model.tensors[model.backward_order[p]];
          const auto at = static_cast<std::size_t>(item.offset),
                     count = static_cast<std::size_t>(item.elements);
          const std::span<float> piece = whole.subspan(at, count);
          on.backend->axpy(1, accumulated->read(where, at, count), piece);
          on.backend->apply(kernels::Scale{static_cast<double>(share)}, {piece}, {piece});
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
  own->written = post_on(device_,
                         [from = View(parameters), to = own->data](const ComputeDevice& on) {
                           copy(from, *to, 0, on);
                         },
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
  target.written = post_on(
      device_,
      [&values = values_, inputs = views(gradients), offsets, weights = target.data,
       velocity = velocity_, learning_rate](const ComputeDevice& on) {
        DeviceMemory* const where = on.memory.get();
        for (std::size_t i = 0; i < inputs.size(); ++i) {
          const std::span<const float> gradient = inputs[i].read(where);
          const auto at = static_cast<std::size_t>(offsets[i]);
          const std::span<float> own_velocity = velocity->size() == 0
                                                    ? std::span<float>()
                                                    : velocity->change(where, at, gradient.size());
          values.update(*on.backend, learning_rate, gradient, own_velocity,
                        weights->change(where, at, gradient.size()));
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
  target.written = post_on(
      device_,
      [from = View(values), to = target.data, at = static_cast<std::size_t>(values.offset())](
          const ComputeDevice& on) { copy(from, *to, at, on); },
      std::move(after));
  buffer_of(values).note_reader(&strand_, target.written);
  const std::int64_t from = values.offset(), count = values.elements();
  target.lineage.version.set(from, count, buffer_of(values).lineage.version.newest(from, count));
}

}  // namespace paceline

#include "models/activation_memory.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <string_view>

#include "models/operation_costs.hpp"

namespace paceline {
namespace {

constexpr std::size_t kLeastOperations = 4;  // of a block

bool is_digit(char c) {
  return std::isdigit(static_cast<unsigned char>(c)) != 0;
}

// "12", "encoder_layer_12"
bool is_numbered(std::string_view part) {
  const std::size_t digits =
      part.end() - std::find_if_not(part.rbegin(), part.rend(), is_digit).base();
  return digits > 0 && (digits == part.size() || part[part.size() - digits - 1] == '_');
}

// "" where no part is numbered, or the last one alone.
std::string_view block_name(std::string_view operation) {
  for (std::size_t begin = 0, end = 0; (end = operation.find('.', begin)) != std::string_view::npos;
       begin = end + 1)
    if (is_numbered(operation.substr(begin, end - begin))) return operation.substr(0, end);
  return {};
}

// Of each operation: whether its output survives a recomputed block.
std::vector<bool> saved_outputs(const Model& model, const RecomputeBlocks& blocks,
                                Recompute recompute) {
  std::vector<bool> saved(model.operations().size(), false);
  if (recompute != Recompute::selective) return saved;
  std::vector<std::size_t> products(blocks.count, 0);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    if (blocks.of[i] == RecomputeBlocks::kNone) continue;
    const Operation& op = model.operations()[i];
    saved[i] = op.is<AttentionOp>() || (op.is<DenseOp>() && products[blocks.of[i]]++ % 2 == 0);
  }
  return saved;
}

struct Kept {
  std::vector<std::size_t> buffers;  // numbers of the operations that write them
  double own_bytes = 0;
};

class Walk {
 public:
  Walk(const Model& model, const KeepRules& rules)
      : model_(model),
        ops_(model.operations()),
        rules_(rules),
        blocks_(recompute_blocks(model)),
        saved_(saved_outputs(model, blocks_, rules.recompute)),
        buffer_(ops_.size()),
        wants_(ops_.size()),
        last_use_(ops_.size(), SIZE_MAX),
        gradient_(ops_.size(), SIZE_MAX) {
    if (rules.recompute == Recompute::none)
      std::fill(blocks_.of.begin(), blocks_.of.end(), RecomputeBlocks::kNone);
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      buffer_[i] = ops_[i].is<FlattenOp>() ? buffer_[ops_[i].inputs[0]] : i;
      wants_[i] = wants_of(i);
      for (const std::size_t b : wants_[i].buffers) last_use_[b] = std::min(last_use_[b], i);
    }
  }

  ActivationMemory run() {
    for (std::size_t b = 0; b < ops_.size(); ++b)
      if (last_use_[b] != SIZE_MAX && !is_dropped(b)) live_ += bytes_of(b);
    for (std::size_t i = 0; i < ops_.size(); ++i)
      if (blocks_.of[i] == RecomputeBlocks::kNone) live_ += wants_[i].own_bytes;
    ActivationMemory memory{live_, live_};
    std::vector<bool> again(blocks_.count, false);
    for (std::size_t i = ops_.size(); i-- > 0;) {
      if (!ops_[i].needs_gradient) continue;
      if (const std::size_t block = blocks_.of[i];
          block != RecomputeBlocks::kNone && !again[block]) {
        again[block] = true;
        live_ += dropped_bytes(block);
      }
      for (const std::size_t input : ops_[i].inputs) hand_down(i, input);
      memory.peak = std::max(memory.peak, live_ + scratch(i));
      release_gradient(i);
      live_ -= wants_[i].own_bytes;
      for (const std::size_t b : wants_[i].buffers)
        if (last_use_[b] == i) live_ -= bytes_of(b), last_use_[b] = SIZE_MAX;
    }
    return memory;
  }

 private:
  [[nodiscard]] double bytes_of(std::size_t b) const {
    return rules_.float_bytes * static_cast<double>(ops_[b].output_elements());
  }
  [[nodiscard]] double logits(std::size_t loss) const {
    return static_cast<double>(ops_[ops_[loss].inputs[0]].output_elements());
  }
  [[nodiscard]] bool in_16_bits() const { return rules_.float_bytes < kElementBytes; }

  [[nodiscard]] Kept wants_of(std::size_t i) const {
    const Operation& op = ops_[i];
    std::vector<const Operation*> inputs;
    for (const std::size_t input : op.inputs) inputs.push_back(&ops_[input]);
    KeptForBackward keep = kept_for_backward(op, inputs);
    if (op.needs_gradient && op.is<ReluOp>() && rules_.relu_inputs) keep.inputs = true;
    if (op.needs_gradient && op.is<AttentionOp>() && !rules_.attention_scores)
      keep = {true, true, 0};
    Kept kept{{}, kElementBytes * keep.extra_elements};
    if (op.is<SoftmaxLossOp>() && in_16_bits())
      kept.own_bytes += kElementBytes * logits(i);  // their cast
    if (keep.output) kept.buffers.push_back(buffer_[i]);
    if (keep.inputs)
      for (const std::size_t input : op.inputs) kept.buffers.push_back(buffer_[input]);
    return kept;
  }

  // Inside of a recomputed block, read by nobody outside.
  [[nodiscard]] bool is_dropped(std::size_t b) const {
    const std::size_t block = blocks_.of[b];
    if (block == RecomputeBlocks::kNone || saved_[b]) return false;
    const auto& readers = model_.consumers_of(b);
    return std::all_of(readers.begin(), readers.end(),
                       [&](std::size_t r) { return blocks_.of[r] == block; });
  }

  [[nodiscard]] double dropped_bytes(std::size_t block) const {
    double bytes = 0;
    for (std::size_t i = 0; i < ops_.size(); ++i) {
      if (blocks_.of[i] != block) continue;
      bytes += wants_[i].own_bytes;
      if (last_use_[i] != SIZE_MAX && is_dropped(i)) bytes += bytes_of(i);
    }
    return bytes;
  }

  // What a pass has beside what is kept and the gradients: of a loss, the logits, and in 16 bits the fp32 gradient that
  // is cast.
  [[nodiscard]] double scratch(std::size_t i) const {
    if (!ops_[i].is<SoftmaxLossOp>()) return 0;
    return (rules_.float_bytes + (in_16_bits() ? kElementBytes : 0)) * logits(i);
  }

  // The gradient of an input comes into being, or is added to.
  void hand_down(std::size_t i, std::size_t input) {
    if (!ops_[input].needs_gradient || gradient_[input] != SIZE_MAX) return;
    const bool passes_on =
        (ops_[i].is<AddOp>() || ops_[i].is<FlattenOp>()) && gradient_[i] != SIZE_MAX;
    gradient_[input] = passes_on ? gradient_[i] : input;
    if (holders_[gradient_[input]]++ == 0) live_ += bytes_of(gradient_[input]);
  }
  void release_gradient(std::size_t i) {
    if (gradient_[i] == SIZE_MAX) return;
    if (--holders_[gradient_[i]] == 0) live_ -= bytes_of(gradient_[i]);
  }

  const Model& model_;
  const std::vector<Operation>& ops_;
  const KeepRules& rules_;
  RecomputeBlocks blocks_;
  std::vector<bool> saved_;
  std::vector<std::size_t> buffer_;  // whose buffer the output lies in: a view's is its input's
  std::vector<Kept> wants_;
  std::vector<std::size_t>
      last_use_;  // of each buffer: the operation whose backward pass is its last reader
  std::vector<std::size_t> gradient_;  // of each operation's output: whose buffer it is
  std::map<std::size_t, std::size_t> holders_;
  double live_ = 0;
};

}  // namespace

const std::vector<std::string>& recompute_names() {
  static const std::vector<std::string> names{"none", "selective", "full"};
  return names;
}

RecomputeBlocks recompute_blocks(const Model& model) {
  std::map<std::string_view, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < model.operations().size(); ++i)
    if (const std::string_view name = block_name(model.operations()[i].name); !name.empty())
      members[name].push_back(i);
  RecomputeBlocks blocks{
      std::vector<std::size_t>(model.operations().size(), RecomputeBlocks::kNone), 0};
  for (const auto& [name, operations] : members) {
    if (operations.size() < kLeastOperations) continue;
    for (const std::size_t i : operations) blocks.of[i] = blocks.count;
    ++blocks.count;
  }
  return blocks;
}

std::vector<double> recomputed_shares(const Model& model, const RecomputeBlocks& blocks,
                                      Recompute recompute) {
  std::vector<double> all(blocks.count, 0), again(blocks.count, 0);
  const std::vector<bool> saved = saved_outputs(model, blocks, recompute);
  for (std::size_t i = 0; i < model.operations().size(); ++i) {
    if (blocks.of[i] == RecomputeBlocks::kNone) continue;
    all[blocks.of[i]] += model.operations()[i].macs;
    if (!saved[i]) again[blocks.of[i]] += model.operations()[i].macs;
  }
  for (std::size_t b = 0; b < blocks.count; ++b)
    again[b] = recompute == Recompute::none ? 0 : all[b] > 0 ? again[b] / all[b] : 1;
  return again;
}

ActivationMemory activation_memory(const Model& model, const KeepRules& rules) {
  return Walk(model, rules).run();
}

}  // namespace paceline

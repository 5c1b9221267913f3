#include "sim/server/node_exchange.hpp"

#include <algorithm>

namespace paceline {

void NodeExchange::push(Request request, double bytes, Send send) {
  const std::int64_t offset = request.shard.offset;
  const auto found = pushes_.try_emplace({offset, pushed_[{request.worker, offset}]++}).first;
  found->second.push_back(std::move(request));
  if (found->second.size() < workers_) return;
  std::vector<Request> all = std::move(found->second);
  pushes_.erase(found);
  const double seconds = static_cast<double>(workers_ - 1) * bytes / bandwidth_;
  busy_until_ = std::max(busy_until_, clock_.now()) + seconds;
  if (seconds == 0) return send(std::move(all));
  clock_.at(busy_until_, Continuations::fire,
            later_.keep([all = std::move(all), send = std::move(send)] { send(all); }));
}

CompletionRef NodeExchange::pull(std::uint32_t worker, const Shard& shard,
                                 const CompletionRef& call) {
  const auto found = pulls_.try_emplace({shard.offset, pulled_[{worker, shard.offset}]++}).first;
  Pull& pull = found->second;
  const CompletionRef first = pull.first;
  if (!first) pull.first = call;
  if (++pull.joined == workers_) pulls_.erase(found);
  return first;
}

}  // namespace paceline

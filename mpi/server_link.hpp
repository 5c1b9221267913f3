#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "mpi/messages.hpp"
#include "mpi/value_watch.hpp"
#include "sim/job_context.hpp"
#include "sim/server/link.hpp"

namespace paceline {

/// Pushes and pulls between ranks: those of the workers come first, then one for each server. A
/// message is a header, and what it carries behind it. One object per process, for either end.
class RankServerLink final : public ServerLink {
 public:
  RankServerLink(JobContext& job, Messages& messages, ValueWatch& values, int rank);
  void listen();     ///< from now on
  void say_ended();  ///< this worker asks for nothing more

  /// What stays under way until the end: the next header.
  static constexpr std::size_t kListening = 1;
  /// On a server: how many workers have ended.
  [[nodiscard]] std::size_t ended() const { return ended_; }

  void push(const Shard& shard, const Tensor& tensor, double bits,
            const CompletionRef& call) override;
  void pull(const Shard& shard, std::int64_t version, const CompletionRef& call) override;
  void acknowledge(const Request& push) override;
  void reply(const Request& pull, const Tensor& data, double bits) override;

 private:
  enum class Kind : std::int32_t { push, pull, acknowledge, answer, end };
  struct Header {
    Kind kind = Kind::end;
    std::int32_t from = 0;
    Shard shard;
    std::int64_t version = 0;
    std::uint64_t call = 0;  ///< number of the worker's call
    std::uint64_t bytes = 0;
  };
  class RemoteCall;
  using Payload = std::shared_ptr<std::vector<float>>;

  void send(int to, const Header& header, Payload payload);
  void send_tensor(int to, Header header, const Tensor& tensor, double bits);
  void take(const Header& header);
  void arrived(const Header& header, const Payload& payload);
  /// A worker's push has left it, or the answer to its pull is here; for its account and the trace.
  void over(Recorder::Track direction, const Header& header, double began_s);
  [[nodiscard]] Tensor tensor_of(const Header& header, const Payload& payload) const;
  [[nodiscard]] int server_rank(const Shard& shard) const;
  [[nodiscard]] WireTime& wire() const;

  JobContext& job_;
  Messages& messages_;
  ValueWatch& values_;
  int rank_;
  Header incoming_;
  std::map<std::uint64_t, CompletionRef> calls_;  // of this worker, until they are answered
  std::uint64_t next_call_ = 0;
  std::map<std::uint32_t, double> track_free_s_;  // in the trace, by track: the last one's end
  std::size_t ended_ = 0;
};

}  // namespace paceline

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mpi/messages.hpp"
#include "mpi/value_watch.hpp"
#include "sim/job_context.hpp"
#include "sim/network/communication.hpp"

namespace paceline {

/// How dense averages are made.
enum class AllReduceBy : std::uint8_t {
  plan,        ///< the messages that the simulator models, without values: any of its algorithms
  ring,        ///< a ring that sums as the data come by: the simulator's values to rounding
  rank_order,  ///< each rank sums a share in the order of ranks: the simulator's values to the bit
  library      ///< MPI_Iallreduce
};
AllReduceBy all_reduce_by_from_name(std::string_view name);  ///< throws InputError
const char* to_string(AllReduceBy by);

/// The collectives of one communication stream of this process's worker, over messages: one at a
/// time.
class RankCarrier final : public Carrier {
 public:
  struct Ends {
    JobContext& job;
    Messages& messages;
    ValueWatch& values;
    std::uint32_t rank;
  };
  /// `stream`: number of the communication stream, the tag of its messages.
  RankCarrier(const Ends& ends, int stream, AllReduceBy by);
  ~RankCarrier();
  void carry(Collective& collective, Clock::Fire done, void* self) override;
  /// What is under way; empty if nothing.
  [[nodiscard]] std::string describe() const;

 private:
  using Bytes = std::vector<std::byte>;
  void start(Program program);
  void ended();

  // Programs. Each ends when this rank has what it waits for and may forget what it has sent.
  Program walk(PreparedPlan* plan, double bytes);
  Program sum_by_library(std::int64_t elements);
  Program average(AllReduceCall* call);
  Program gather(GatherCall* call);
  Program global_top_k(GlobalTopKCall* call);
  // Parts of average(): of floats in place.
  Pending<> run_part(Program program);
  Program ring(std::vector<float>* whole);
  Program rank_order(std::vector<float>* whole);

  struct Part;
  Ends ends_;
  int stream_;
  AllReduceBy by_;
  std::size_t ranks_;
  Collective* collective_ = nullptr;
  Clock::Fire done_ = nullptr;
  void* self_ = nullptr;
  Program program_;
  std::unique_ptr<Part> part_;
};

}  // namespace paceline

#pragma once

#include <map>
#include <memory>
#include <vector>

#include "platforms/cluster.hpp"
#include "sim/iteration_log.hpp"
#include "sim/job_spec.hpp"
#include "sim/network/collective_plans.hpp"
#include "sim/network/communication.hpp"
#include "sim/server/node_exchange.hpp"
#include "sim/time/operation.hpp"
#include "sim/time/wire_time.hpp"
#include "sim/trace.hpp"
#include "sim/values/training_metrics.hpp"
#include "sim/values/value_engine.hpp"
#include "sim/worker/model_passes.hpp"

namespace paceline {

class PeerCalls;
class ServerCalls;
class ServerLink;
class ServerRuntime;
class WorkerRuntime;

/// What the workers and servers of one job have in common. They see nothing else of the job.
struct JobContext {
  /// What workers tell.
  class Observer {
   public:
    virtual void step_passed(WorkerRuntime& worker, std::int64_t completed) = 0;
    virtual void worker_ended() = 0;

   protected:
    ~Observer() = default;
  };

  JobContext(JobSpec job, const Cluster& on, Clock& by, Transport& over, Recorder* to,
             TaskGraph* values, Observer& told);

  void make_nodes();
  /// For the trace: a collective has ended, `bytes` of what was carried.
  void record_collective(const Channel::Carried& carried, double bytes) const;
  /// For the trace: a push to the shard's server (`direction`: Recorder::pushes), or its answer to a
  /// pull (Recorder::pulls), has arrived. `host` is the worker's end.
  void record_message(Recorder::Track direction, std::uint32_t rank, Endpoint host,
                      const Shard& shard, double left_s, double bytes) const;
  [[nodiscard]] double learning_rate(std::int64_t step) const {
    return spec.learning_rate ? spec.learning_rate(step) : 0;
  }

  JobSpec spec;
  CollectiveSoftware software;
  const Cluster& cluster;
  Clock& clock;
  Transport& transport;
  Recorder* recorder;          ///< null: no trace
  LayerLog* layers = nullptr;  ///< of the first worker; null: nobody asks
  Observer& observer;
  PassTimes pass_times;
  OperationPool pool;
  Continuations later;
  WireTime wire;  ///< of the collectives, which all workers are in together
  CollectivePlans plans;
  std::vector<std::unique_ptr<Channel>> channels;  ///< by communication stream
  IterationLog log;
  std::int64_t steps;  ///< to be simulated: the spec's, or fewer once a cycle is known
  // The two ends of pushes and pulls; they enter themselves.
  std::vector<ServerCalls*> calls;  ///< by rank
  std::vector<PeerCalls*>
      peers;  ///< by rank, of the workers of this process; they enter themselves
  std::vector<ServerRuntime*> servers;  ///< by index
  /// By host: of the nodes with several workers that reduce first.
  std::map<Endpoint, std::unique_ptr<NodeExchange>> nodes;

  ServerLink* link = nullptr;  ///< between processes; null: all are in this one
  StreamGate* gate = nullptr;  ///< of all streams; null in simulated time

  // Values; null in time-only runs.
  TaskGraph* graph;
  std::unique_ptr<TrainingMetrics> metrics;
  BufferRef initial;
};

}  // namespace paceline

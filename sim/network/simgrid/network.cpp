#include <cmath>
#include <cstdlib>
#include <functional>
#include <queue>
#include <stdexcept>
#include <vector>

#include "sim/network/simgrid/module.hpp"
#include "sim/network/simgrid/shim.hpp"

namespace paceline {
namespace {

namespace s4u = simgrid_shim::s4u;
namespace kernel = simgrid_shim::kernel;

// SimGrid counts whole bytes. Sizes and bandwidths both times 1024 keep the rounding of a 1 kB
// message at 1e-7 of it and change no date.
constexpr double kByteScale = 1024;
constexpr double kNoBound = 1e30;  // bytes/s

// Routes come from our own Cluster, so that the closed forms and the flows see the very same links.
// Host i of the zone is endpoint i.
class ClusterRouting final : public kernel::routing::StarZone {
 public:
  ClusterRouting(const std::string& name, const Cluster& cluster)
      : StarZone(name), cluster_(cluster) {}
  void add_link(kernel::resource::StandardLinkImpl* link) { links_.push_back(link); }
  /// A FATPIPE of what one flow gets at most (a rate of the flow would not outlive a change of
  /// bandwidth).
  void set_limit(kernel::resource::StandardLinkImpl* link) { limit_ = link; }
  void get_local_route(const kernel::routing::NetPoint* from, const kernel::routing::NetPoint* to,
                       kernel::routing::Route* into, double*) override {
    cluster_.route(static_cast<Endpoint>(from->id()), static_cast<Endpoint>(to->id()), route_);
    for (const LinkId link : route_.links) into->link_list_.push_back(links_[link]);
    if (route_.most < kInfinity) into->link_list_.push_back(limit_);
  }
  void do_seal() override {}

 private:
  const Cluster& cluster_;
  std::vector<kernel::resource::StandardLinkImpl*> links_;
  kernel::resource::StandardLinkImpl* limit_ = nullptr;
  Route route_;
};

class SimgridNetwork final : public FluidNetwork {
 public:
  SimgridNetwork(const Cluster& cluster, Clock& clock)
      : cluster_(cluster), clock_(clock), engine_("paceline") {
    signals_.give_back();
    // Exact alpha-beta: no protocol correction, no reverse traffic, no TCP window.
    s4u::Engine::set_config("network/model:CM02");
    s4u::Engine::set_config("network/crosstraffic:no");
    s4u::Engine::set_config("network/TCP-gamma:1e30");
    auto* zone = new ClusterRouting("cluster", cluster_);  // owned by the engine
    s4u::NetZone* face = zone->get_iface();
    for (Endpoint e = 0; e < cluster_.endpoints(); ++e)
      hosts_.push_back(face->create_host(cluster_.endpoint_name(e), 1e9));
    for (const Link& link : cluster_.links()) {
      s4u::Link* made = face->create_link(link.name, link.bandwidth * kByteScale);
      made->set_latency(0);
      made->seal();
      links_.push_back(made);
      zone->add_link(made->get_impl());
    }
    if (const double most = cluster_.spec().network.flow_bandwidth; most < kInfinity) {
      s4u::Link* limit = face->create_link("one flow", most * kByteScale);
      limit->set_latency(0);
      limit->set_sharing_policy(s4u::Link::SharingPolicy::FATPIPE);
      limit->seal();
      zone->set_limit(limit->get_impl());
    }
    face->seal();
    model_ = dynamic_cast<kernel::resource::Model*>(face->get_network_model());
    simgrid_shim::on_comm_completion([this](const s4u::Comm& comm) { ended(comm); });
  }

  void transfer(Endpoint from, Endpoint to, double bytes, Clock::Fire fire, void* self,
                std::uint64_t argument) override {
    cluster_.route(from, to, route_);
    const auto size = static_cast<std::uint64_t>(std::llround(bytes * kByteScale));
    if (size == 0 || route_.links.empty()) {
      clock_.at(clock_.now(), fire, self, argument);
      return;
    }
    Flow* flow = new_flow();
    flow->fire = fire;
    flow->self = self;
    flow->argument = argument;
    flow->comm = s4u::Comm::sendto_init(hosts_[from], hosts_[to]);
    flow->comm->set_payload_size(size);
    flow->comm->set_data(flow);
    simgrid_shim::start(*flow->comm);
  }

  void set_bandwidth(LinkId link, double bytes_per_second) override {
    links_[link]->set_bandwidth(bytes_per_second * kByteScale);
    // SimGrid bounds a flow by the narrowest link of its way as that was when the flow began.
    for (kernel::resource::Action& action : *model_->get_started_action_set())
      action.set_bound(kNoBound);
  }

  void run() override {
    clock_.drain_ready();
    arm();
    engine_.run();
  }

 private:
  struct Flow {
    Clock::Fire fire = nullptr;
    void* self = nullptr;
    std::uint64_t argument = 0;
    s4u::CommPtr comm;
    Flow* next_free = nullptr;
  };

  Flow* new_flow() {
    if (free_ != nullptr) {
      Flow* flow = free_;
      free_ = flow->next_free;
      return flow;
    }
    flows_.push_back(std::make_unique<Flow>());
    return flows_.back().get();
  }

  void ended(const s4u::Comm& comm) {
    auto* flow = const_cast<s4u::Comm&>(comm).get_data<Flow>();
    if (flow == nullptr || !flow->comm) return;
    // Dropping the last reference inside the completion signal is a use-after-free in SimGrid: keep
    // it a while.
    graveyard_.push_back(std::move(flow->comm));
    if (graveyard_.size() >= 64) graveyard_.erase(graveyard_.begin(), graveyard_.begin() + 32);
    const Clock::Fire fire = flow->fire;
    void* self = flow->self;
    const std::uint64_t argument = flow->argument;
    flow->next_free = free_;
    free_ = flow;
    if (clock_.stopped()) return;
    clock_.set_now(s4u::Engine::get_clock());
    fire(self, argument);
    clock_.drain_ready();
    arm();
  }

  // Keeps a SimGrid timer set for the clock's next date.
  void arm() {
    if (clock_.idle() || clock_.stopped()) return;
    const double date = clock_.next_date();
    if (!armed_.empty() && armed_.top() <= date) return;
    armed_.push(date);
    kernel::timer::Timer::set(date, [this, date] {
      armed_.pop();
      if (clock_.stopped()) return;
      clock_.advance_to(date);
      arm();
    });
  }

  const Cluster& cluster_;
  Clock& clock_;
  simgrid_shim::SignalsKept signals_;
  s4u::Engine engine_;
  kernel::resource::Model* model_ = nullptr;
  std::vector<s4u::Host*> hosts_;
  std::vector<s4u::Link*> links_;
  std::vector<std::unique_ptr<Flow>> flows_;
  Flow* free_ = nullptr;
  std::vector<s4u::CommPtr> graveyard_;
  std::priority_queue<double, std::vector<double>, std::greater<>> armed_;
  Route route_;
};

bool engine_made = false;

}  // namespace

std::unique_ptr<FluidNetwork> simgrid_module::make_network(const Cluster& cluster, Clock& clock) {
  if (engine_made)
    throw std::logic_error(
        "SimGrid allows one engine per process: run further simulations in a child process");
  engine_made = true;
  xbt_log_control_set("root.thresh:critical");
  return std::make_unique<SimgridNetwork>(cluster, clock);
}

}  // namespace paceline

#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "base/isolated.hpp"
#include "base/json.hpp"
#include "base/text_file.hpp"
#include "sim/network/network.hpp"
#include "sim/network/xml_platform.hpp"

namespace paceline {
namespace {

constexpr rlim_t kMostSeconds = 60;  // of processor time

struct Table {
  std::vector<std::string> hosts;
  std::vector<Link> links;
  std::vector<Route> routes;  // [from * hosts + to]
};

// SimGrid only reads here. Where the kernel can, it is held to that.
void forbid_writing() {
  landlock_ruleset_attr rules{};
  rules.handled_access_fs = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                            LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                            LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM |
                            LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SOCK;
  const long set = ::syscall(SYS_landlock_create_ruleset, &rules, sizeof rules, 0);
  if (set < 0) return;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ::syscall(SYS_landlock_restrict_self, set, 0);
  ::close(static_cast<int>(set));
}

// A file without a name.
class Unnamed {
 public:
  explicit Unnamed(std::string_view text) : descriptor_(::memfd_create("platform", MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        ::write(descriptor_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      throw std::runtime_error(
          fmt::format("cannot hold a platform in memory: {}", std::strerror(errno)));
  }
  Unnamed(const Unnamed&) = delete;
  Unnamed& operator=(const Unnamed&) = delete;
  ~Unnamed() { ::close(descriptor_); }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }
  [[nodiscard]] std::string text() const {
    std::string text(65536, '\0');
    const ssize_t got = ::pread(descriptor_, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
  }

 private:
  int descriptor_;
};

// What SimGrid says of its own file and source lines is nothing to the user.
std::string reason_in(std::string said, const std::string& path) {
  if (const auto at = said.find("CRITICAL] "); at != said.npos) said.erase(0, at + 10);
  said.erase(std::min(said.find('\n'), said.size()));
  for (std::size_t at = 0; (at = said.find(path, at)) != said.npos;)
    said.erase(
        at, std::min(said.find_first_not_of(":0123456789 ", at + path.size()), said.size()) - at);
  return said;
}

// In a process of its own: SimGrid has one engine, and ends the process for what it refuses.
Json described(const std::string& file) {
  const Unnamed platform(checked_platform(read_text_file(file), file)), said("");
  const auto describe = [&]() -> Json {
    ::dup2(said.descriptor(), STDERR_FILENO);
    forbid_writing();
    const rlimit limit{kMostSeconds, kMostSeconds};
    ::setrlimit(RLIMIT_CPU, &limit);
    try {
      return describe_simgrid_platform(platform.path());
    } catch (const std::exception& error) {
      throw InputError(fmt::format("{}: {}", file, reason_in(error.what(), platform.path())));
    }
  };
  try {
    return run_isolated({describe}, 1).front();
  } catch (const InputError&) {
    throw;
  } catch (const std::exception& error) {
    const std::string reason = reason_in(said.text(), platform.path());
    throw InputError(fmt::format("{}: SimGrid gave up on this platform file: {}", file,
                                 reason.empty() ? error.what() : reason));
  }
}

Table table_of(const Json& described) {
  Table table;
  table.hosts = described.at("hosts").get<std::vector<std::string>>();
  for (const Json& link : described.at("links"))
    table.links.push_back({link.at(0).get<std::string>(), LinkKind::fabric,
                           link.at(1).get<double>(), link.at(2).get<double>()});
  for (const Json& written : described.at("routes")) {
    Route& route = table.routes.emplace_back();
    for (const Json& word : written)
      if (&word == &written.front())
        route.latency = word.get<double>();
      else
        route.links.push_back(word.get<LinkId>());
  }
  return table;
}

}  // namespace

Cluster load_xml_cluster(const ClusterSpec& spec) {
  std::filesystem::path file = spec.network.topology.platform_file();
  std::error_code ignored;
  if (file.is_relative() && !std::filesystem::exists(file, ignored) && !spec.file.empty())
    file = std::filesystem::path(spec.file).parent_path() / file;
  if (!std::filesystem::is_regular_file(file, ignored))
    throw InputError(fmt::format("{}: $.network.topology.file: there is no file '{}'", spec.file,
                                 file.string()));
  auto table = std::make_shared<Table>(table_of(described(file.string())));
  for (Link& link : table->links) link.bandwidth *= spec.network.efficiency;
  const std::size_t hosts = table->hosts.size();
  if (spec.node_count() != hosts || spec.gpu_count() != hosts)
    throw InputError(fmt::format(
        "{}: {} has {} hosts, one GPU each, but the cluster file describes {} nodes with {} GPUs",
        spec.file, file.string(), hosts, spec.node_count(), spec.gpu_count()));
  // A node's GPU and its host are the same machine of the platform.
  const auto route = [table, hosts, overhead = spec.network.overhead](Endpoint from, Endpoint to,
                                                                      Route& out) {
    const Route& found = table->routes[from % hosts * hosts + to % hosts];
    out.links = found.links;
    out.latency = found.links.empty() ? 0 : found.latency + overhead;
  };
  return Cluster(spec, table->links, route);
}

Cluster build_cluster(const ClusterSpec& spec) {
  return spec.network.topology.platform_file().empty() ? make_cluster(spec)
                                                       : load_xml_cluster(spec);
}

}  // namespace paceline

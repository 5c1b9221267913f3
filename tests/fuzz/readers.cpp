#include "readers.hpp"

#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <stdexcept>
#include <string>

#include "base/csv.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "base/text_file.hpp"
#include "calibrate/import/import.hpp"
#include "calibrate/network/fit.hpp"
#include "calibrate/network/message_log.hpp"
#include "calibrate/profile/profile.hpp"
#include "calibrate/transfer/anchors.hpp"
#include "experiments/axes.hpp"
#include "experiments/compare.hpp"
#include "experiments/experiment.hpp"
#include "experiments/published.hpp"
#include "experiments/result.hpp"
#include "models/data/readers.hpp"
#include "models/graph.hpp"
#include "models/model_file.hpp"
#include "models/zoo.hpp"
#include "platforms/cluster_file.hpp"
#include "platforms/overrides.hpp"
#include "platforms/stack_file.hpp"
#include "sim/network/xml_platform.hpp"
#include "sim/values/checkpoint.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "input";

// One for the process, emptied before each use.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "paceline-fuzz-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
    path_ = pattern;
  }
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  fs::path put(const std::string& name, std::string_view bytes) const {
    std::ofstream(path_ / name, std::ios::binary) << bytes;
    return path_ / name;
  }
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

const Folder& folder() {
  static const Folder only;
  return only;
}

// Of a data set: one part of the bytes for each of its files.
const fs::path& put_parts(std::string_view bytes, const std::vector<std::string>& files) {
  constexpr std::string_view kBetween = "\n--\n";
  for (const std::string& file : files) {
    const std::size_t end = std::min(bytes.find(kBetween), bytes.size());
    folder().put(file, bytes.substr(0, end));
    bytes.remove_prefix(std::min(end + kBetween.size(), bytes.size()));
  }
  return folder().path();
}

void refuse_or_take(const std::function<void()>& read) {
  try {
    read();
  } catch (const InputError&) {  // as it should
  }
}

template <auto Read>
void json(std::string_view bytes) {
  refuse_or_take([&] {
    const Json parsed = parse_json(bytes, kName);
    Read(parsed, std::string(kName));
  });
}

template <auto Read>
void text(std::string_view bytes) {
  refuse_or_take([&] { Read(bytes); });
}

Model toy() {
  GraphBuilder builder("toy");
  std::size_t x = builder.input("x", {8});
  x = builder.dense("fc", x, {.features = 4});
  builder.softmax_loss("loss", x);
  return builder.build();
}

void cluster(const Json& parsed, const std::string& name) {
  write_cluster(read_cluster(parsed, name));
}

void stack(const Json& parsed, const std::string& name) {
  write_stack(read_stack(parsed, name));
}

void published(const Json& parsed, const std::string& name) {
  read_published(parsed, "set", name);
}

void trace(std::string_view bytes) {
  static const Model model = toy();
  parse_trace(bytes, kName, model, {.batch = 4, .device = "V100"});
}

void table(std::string_view bytes) {
  static const Model model = toy();
  parse_import_csv(bytes, kName, model, {.batch = 4, .device = "V100"});
}

void message_log(std::string_view bytes) {
  for (const MessageLog& one : parse_message_log(bytes, kName, {}, 16)) fit_log(one);
}

void csv(std::string_view bytes) {
  const CsvTable rows(bytes, kName);
}

void gzip(std::string_view bytes) {
  read_text_file(folder().put("packed", bytes));
}

void options(std::string_view bytes) {
  const std::string option(bytes);
  refuse_or_take([&] { schedule_from_option(option); });
  refuse_or_take([&] { axis_from_option(option); });
  refuse_or_take([&] { jitter_from_option(option); });
  refuse_or_take([&] { all_reduce_from_option(option); });
  Json described = Json::parse(R"({"network": {"bandwidth": "1Gbps"}, "nodes": [{"count": 1}]})");
  apply_override(described, option);
}

void npy(std::string_view bytes) {
  read_npy(put_parts(
      bytes, {"train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"}));
}

void idx(std::string_view bytes) {
  read_mnist(put_parts(bytes, {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                               "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}));
}

void cifar(std::string_view bytes) {
  read_cifar100(put_parts(bytes, {"train.bin", "test.bin"}));
}

void ptb(std::string_view bytes) {
  read_ptb(put_parts(bytes, {"ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"}), 4);
}

// With the right checksum, which no mutation would find.
void checkpoint(std::string_view bytes) {
  const auto sum = static_cast<std::uint32_t>(
      ::crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
  std::string file(bytes);
  file.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  const SavedRun run(folder().put("checkpoint", file));
}

void platform(std::string_view bytes) {
  checked_platform(bytes, kName);
}

}  // namespace

const std::vector<FuzzReader>& fuzz_readers() {
  static const std::vector<FuzzReader> all{{"experiment", json<read_experiment>},
                                           {"cluster", json<cluster>},
                                           {"stack", json<stack>},
                                           {"published", json<published>},
                                           {"model", json<read_model>},
                                           {"profile", json<read_profile>},
                                           {"anchors", json<read_anchors>},
                                           {"result", json<result_from_json>},
                                           {"comparison", json<comparison_from_json>},
                                           {"axes", json<read_axes>},
                                           {"options", text<options>},
                                           {"platform", text<platform>},
                                           {"trace", text<trace>},
                                           {"table", text<table>},
                                           {"log", text<message_log>},
                                           {"csv", text<csv>},
                                           {"gzip", text<gzip>, true},
                                           {"npy", text<npy>, true},
                                           {"idx", text<idx>, true},
                                           {"cifar", text<cifar>, true},
                                           {"ptb", text<ptb>, true},
                                           {"checkpoint", text<checkpoint>, true}};
  return all;
}

}  // namespace paceline

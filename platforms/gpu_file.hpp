#pragma once

#include <string>
#include <string_view>

#include "base/json_fwd.hpp"
#include "base/object_reader.hpp"
#include "platforms/gpus.hpp"

namespace paceline {

/// The card whose figures a user is never asked for: what is not known of another is taken from it.
inline constexpr std::string_view kStandInGpu = "V100 SXM2";

/// A row of gpus.json: name, memory, fp32, bandwidth, pcie and source are required.
GpuSpec read_gpu_row(ObjectReader& reader);

/// A card as a user describes it, {"name": "RTX 9999", "memory": "24GiB", "fp32": "35.6TFLOPS",
/// "bandwidth": "936GB/s", ...}: only the name is required. Of a card of the table, what is given
/// overrides the table; of another, fp32 follows from multiprocessors, lanes and boost clock where
/// those are given; what else is missing and needed is kStandInGpu's, named in `assumed`.
GpuSpec read_gpu_card(ObjectReader& reader);
/// The card of the table, or one of which nothing but the name is known.
GpuSpec card_called(const std::string& name);

/// "; of another card say what you know: {...}", to end a message with.
std::string how_to_describe(std::string_view name);

/// A name of the table, such a description as JSON, or a file that holds it. Throws InputError.
GpuSpec load_gpu(const std::string& name_text_or_file);

/// What read_gpu_card makes the same of.
Json write_gpu(const GpuSpec& gpu);

}  // namespace paceline

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "base/json.hpp"
#include "calibrate/analytic/fit.hpp"
#include "calibrate/analytic/matrix_units.hpp"
#include "commands.hpp"
#include "options.hpp"

namespace paceline {
namespace {

struct FitOptions {
  std::string folder;
  OutputOptions output;
};

Json law_json(const FittedLaw& fitted) {
  return {{"name", fitted.name},
          {"constant", fitted.law.constant},
          {"compute_exponent", fitted.law.compute_exponent},
          {"memory_exponent", fitted.law.memory_exponent},
          {"steps_exponent", fitted.law.steps_exponent},
          {"points", fitted.quality.points},
          {"mean_absolute_error", fitted.quality.mean_absolute_error},
          {"median_absolute_error", fitted.quality.median_absolute_error},
          {"total_bias", fitted.quality.total_bias}};
}

void run(const FitOptions& options) {
  std::vector<LawSet> sets = committed_laws();
  if (!options.folder.empty())
    for (LawSet& set : sets) set.laws = fit_deepbench(options.folder, set.column, set.ceilings);
  const auto table = [&] {
    std::string text;
    for (const LawSet& set : sets)
      text += fmt::format(
          "{}: ceilings {:.4g} TFLOP/s and {:.4g} GB/s\n"
          "seconds = exp(constant) (FLOPs / ceiling)^compute (bytes / ceiling)^memory "
          "steps^steps\n{}\n",
          set.gpu, set.ceilings.sgemm_flops / 1e12, set.ceilings.memory_bandwidth / 1e9,
          fit_table(set.laws));
    const MatrixUnitLaw& law = matrix_unit_law();
    return text + fmt::format(
                      "TF32, fp16 and bf16 on matrix units (errors: paceline validate --set "
                      "single-gpu-mixed --rows)\n"
                      "seconds = FLOPs / (efficiency x matrix rate) + bytes / ({:g} x bandwidth) + "
                      "elements "
                      "/ ({:g} x multiprocessors x clock), {:g} us or more\n"
                      "efficiency of convolutions {:g}, matrix products {:g}, attention {:g}\n",
                      law.bandwidth_share, law.elements_per_cycle, 1e6 * law.launch_s,
                      law.convolution_efficiency, law.product_efficiency, law.attention_efficiency);
  };
  const auto json = [&] {
    Json all = Json::array();
    for (const LawSet& set : sets) {
      Json item{{"gpu", set.gpu},
                {"sgemm_flops", set.ceilings.sgemm_flops},
                {"memory_bandwidth", set.ceilings.memory_bandwidth}};
      item["laws"] = Json::array();
      for (const FittedLaw& law : set.laws) item["laws"].push_back(law_json(law));
      all.push_back(std::move(item));
    }
    return all;
  };
  options.output.print({table, json});
}

}  // namespace

void add_fit(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "fit",
      "The laws behind analytic profiles, and how well they describe DeepBench's measurements");
  command->footer(
      "Examples:\n"
      "  paceline fit                                 the committed fit\n"
      "  paceline fit calibrate/data/deepbench        fit again on these tables");
  const auto options = std::make_shared<FitOptions>();
  command->add_option("folder", options->folder,
                      "folder with DeepBench's conv.csv, gemm.csv and rnn.csv");
  options->output.add_to(*command, false);
  command->callback([options] { run(*options); });
}

}  // namespace paceline

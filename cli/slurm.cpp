#include "slurm.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <vector>

#include "base/error.hpp"
#include "base/files.hpp"
#include "command_line.hpp"

namespace paceline {
namespace {

namespace fs = std::filesystem;

// One word of a POSIX shell.
std::string shell_word(const std::string& word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%^";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

// The command as it was given, without what says where it runs and ends.
std::string repeated_command() {
  const std::vector<std::string>& words = command_line();
  std::error_code ignored;
  const fs::path program = fs::read_symlink("/proc/self/exe", ignored);
  std::string text = shell_word(ignored ? "paceline" : program.string());
  const std::array<std::string_view, 6> with_value{"--slurm", "--sbatch", "-o",
                                                   "--out",   "-j",       "--jobs"};
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    bool skipped = word == "--json" || word == "--csv";
    for (const std::string_view option : with_value) {
      const bool is_long = option.starts_with("--");
      if (word == option) {
        skipped = true;
        ++i;
        break;
      }
      // --slurm=8, -j4
      if (is_long ? word.starts_with(std::string(option) + "=")
                  : word.starts_with(option) && !word.starts_with("--"))
        skipped = true;
    }
    if (!skipped) text += " " + shell_word(word);
  }
  return text;
}

std::string script(const SlurmJob& job, const std::string& folder, const std::string& what,
                   const std::string& directives, const std::string& body) {
  return fmt::format(
      "#!/bin/sh\n# Written by 'paceline sweep --slurm'.\n#SBATCH --job-name={}\n#SBATCH "
      "--open-mode=append\n#SBATCH --output={}\n{}{}",
      shell_word("paceline-" + job.study), shell_word(folder + "/" + what), directives, body);
}

// What sbatch says on success: the number of the job, after ';' perhaps a cluster.
std::string submit(const std::string& command) {
  FILE* const pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) throw InputError("--slurm: sbatch cannot be started");
  std::string said;
  std::array<char, 256> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr)
    said += part.data();
  const int status = ::pclose(pipe);
  while (!said.empty() && said.back() == '\n') said.pop_back();
  const std::string number = said.substr(said.rfind('\n') + 1);
  const std::string digits = number.substr(0, number.find(';'));
  if (status != 0 || digits.empty() || digits.find_first_not_of("0123456789") != std::string::npos)
    throw InputError(fmt::format("--slurm: {}", said.empty() ? "sbatch said nothing" : said));
  return digits;
}

}  // namespace

SubmittedJob submit_to_slurm(const SlurmJob& job) {
  SubmittedJob submitted;
  submitted.folder = job.out + ".slurm";
  std::error_code failed;
  fs::create_directories(submitted.folder, failed);
  if (failed)
    throw InputError(
        fmt::format("--slurm: {} cannot be made: {}", submitted.folder, failed.message()));
  const std::string command = repeated_command(), folder = shell_word(submitted.folder);
  const std::string array_file = submitted.folder + "/array.sh",
                    collect_file = submitted.folder + "/collect.sh";
  save_text(array_file,
            script(job, submitted.folder, "%a.log",
                   fmt::format("#SBATCH --array=0-{}\n#SBATCH --requeue\n", job.tasks - 1),
                   fmt::format(
                       "exec {} -j \"${{SLURM_CPUS_PER_TASK:-1}}\" --part "
                       "\"$SLURM_ARRAY_TASK_ID/{}\" \\\n  -o {}/part-\"$SLURM_ARRAY_TASK_ID\".db\n",
                       command, job.tasks, folder)));
  save_text(
      collect_file,
      script(
          job, submitted.folder, "collect.log", "#SBATCH --requeue\n",
          fmt::format("for part in {}/part-*.db; do\n  [ -e \"$part\" ] && set -- \"$@\" --collect "
                      "\"$part\"\ndone\nexec {} -j \"${{SLURM_CPUS_PER_TASK:-1}}\" -o {} \"$@\"\n",
                      folder, command, shell_word(job.out))));
  const std::string sbatch =
      "sbatch --parsable" + (job.options.empty() ? "" : " " + job.options) + " ";
  submitted.array = submit(sbatch + shell_word(array_file));
  submitted.collect = submit(fmt::format("{}--dependency=afterany:{} {}", sbatch, submitted.array,
                                         shell_word(collect_file)));
  return submitted;
}

}  // namespace paceline

#pragma once

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <string>

namespace paceline {

/// From here on SIGINT (Ctrl-C), SIGTERM and SIGHUP end the process at once: temporary files are
/// removed, child processes ended and waited for, one line "<program>: interrupted: <note>" goes to
/// stderr, and the exit code is 128 + the signal. Nothing else runs, so no result may be half
/// written: results are put in place by base/files. A signal that is ignored (nohup) stays so.
/// `program` must outlive the process.
void end_on_interrupt(const char* program);

/// What the line says: what is kept, and how to go on. Until then it is "nothing was kept". Cut
/// after 500 bytes. To be called from the main thread.
void interrupt_note(const std::string& note);

/// The first signal only sets the flag, which long work asks for; the second one ends the process.
void first_interrupt_sets(std::atomic<bool>& flag);
/// If the flag was set: prints the line, and returns the exit code; else 0.
int interrupted_exit_code();

/// While it lives, signals that end the process wait: between making a thing and noting it.
class SignalsWait {
 public:
  SignalsWait();
  ~SignalsWait();
  SignalsWait(const SignalsWait&) = delete;
  SignalsWait& operator=(const SignalsWait&) = delete;

 private:
  unsigned long before_;  // bits of sigset_t, which is no matter of this header
};

/// The name of a file that goes with the process, whatever ends it, except SIGKILL.
class TemporaryName {
 public:
  TemporaryName() = default;
  TemporaryName(TemporaryName&& other) noexcept;
  TemporaryName& operator=(TemporaryName&& other) noexcept;
  ~TemporaryName();
  explicit TemporaryName(const std::filesystem::path& file);

 private:
  int slot_ = -1;
};

/// A child process, ended with its parent from enter() to leave(), which comes before it is waited
/// for.
void child_entered(pid_t pid);
void child_left(pid_t pid);
/// In a child of fork(): its parent's files and children are not its own, and it says nothing.
void begin_as_child();

}  // namespace paceline

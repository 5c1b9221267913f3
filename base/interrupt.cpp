#include "base/interrupt.hpp"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <utility>

namespace paceline {
namespace {

constexpr std::array kEnding{SIGINT, SIGTERM, SIGHUP};
constexpr std::size_t kNoteBytes = 500, kMostNames = 64, kMostChildren = 4096;
constexpr int kPatience_ms = 2000;

// All that the handler reads stands ready in memory of its own: it may allocate and lock nothing.
struct Name {
  std::atomic<int> state{0};  // 0 free, 1 being written, 2 to be removed
  std::array<char, 4096> path{};
};
struct Interrupts {
  std::array<Name, kMostNames> names{};
  std::array<std::atomic<pid_t>, kMostChildren> children{};
  std::array<std::array<char, kNoteBytes + 1>, 2> notes{};
  std::atomic<int> current_note{-1};
  std::atomic<bool> quiet{false};
  std::atomic<int> first_signal{0};
  std::atomic<std::atomic<bool>*> flag{nullptr};
  const char* program = "";
} interrupts;

void say(const char* text) {
  for (std::size_t left = std::strlen(text); left > 0;) {
    const ssize_t written = ::write(STDERR_FILENO, text, left);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text += written;
    left -= static_cast<std::size_t>(written);
  }
}

void say_the_line() {
  if (interrupts.quiet) return;
  if (::isatty(STDERR_FILENO) != 0) say("\r\x1b[K");  // in place of a progress line
  const int note = interrupts.current_note;
  say(interrupts.program);
  say(": interrupted: ");
  say(note < 0 ? "nothing was kept" : interrupts.notes[static_cast<std::size_t>(note)].data());
  say("\n");
}

// A child removes what it was writing, and is then waited for, so that nothing of ours goes on.
void end_children() {
  for (const auto& child : interrupts.children)
    if (child > 0) ::kill(child, SIGTERM);
  const timespec one_ms{0, 1'000'000};
  int waited = 0;
  for (const auto& child : interrupts.children) {
    if (child <= 0) continue;
    while (::waitpid(child, nullptr, WNOHANG) == 0) {
      if (waited++ >= kPatience_ms) ::kill(child, SIGKILL);
      ::nanosleep(&one_ms, nullptr);
    }
  }
}

[[noreturn]] void end(int signal) {
  for (const Name& name : interrupts.names)
    if (name.state == 2) ::unlink(name.path.data());
  end_children();
  say_the_line();
  ::_exit(128 + signal);
}

// On the main thread, which writes the files and the notes: it cannot be in the midst of another
// thread's doing.
void on_signal(int signal) {
  const int error = errno;
  if (::getpid() != static_cast<pid_t>(::syscall(SYS_gettid))) {
    ::syscall(SYS_tgkill, ::getpid(), ::getpid(), signal);
  } else if (std::atomic<bool>* first = interrupts.flag;
             first != nullptr && !first->exchange(true)) {
    interrupts.first_signal = signal;
  } else {
    end(signal);
  }
  errno = error;
}

sigset_t ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : kEnding) ::sigaddset(&set, signal);
  return set;
}

}  // namespace

void end_on_interrupt(const char* program) {
  interrupts.program = program;
  for (const int signal : kEnding) {
    struct sigaction action {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = on_signal;
    action.sa_mask = ending_signals();
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

void interrupt_note(const std::string& note) {
  const int next = interrupts.current_note == 0 ? 1 : 0;
  auto& text = interrupts.notes[static_cast<std::size_t>(next)];
  text[note.copy(text.data(), kNoteBytes)] = '\0';
  interrupts.current_note = next;
}

void first_interrupt_sets(std::atomic<bool>& asked_for) {
  interrupts.flag = &asked_for;
}

int interrupted_exit_code() {
  if (interrupts.first_signal == 0) return 0;
  say_the_line();
  return 128 + interrupts.first_signal;
}

SignalsWait::SignalsWait() : before_(0) {
  const sigset_t ending = ending_signals();
  sigset_t before;
  ::pthread_sigmask(SIG_BLOCK, &ending, &before);
  for (const int signal : kEnding)
    if (::sigismember(&before, signal) == 1) before_ |= 1UL << static_cast<unsigned>(signal);
}

SignalsWait::~SignalsWait() {
  sigset_t free;
  ::sigemptyset(&free);
  for (const int signal : kEnding)
    if ((before_ >> static_cast<unsigned>(signal) & 1UL) == 0) ::sigaddset(&free, signal);
  ::pthread_sigmask(SIG_UNBLOCK, &free, nullptr);
}

TemporaryName::TemporaryName(const std::filesystem::path& file) {
  // As the process may go to another folder, and a child may have come from one.
  std::error_code error;
  const std::string path = std::filesystem::absolute(file, error).string();
  for (std::size_t i = 0; i < interrupts.names.size(); ++i) {
    int free = 0;
    if (path.size() >= interrupts.names[i].path.size() ||
        !interrupts.names[i].state.compare_exchange_strong(free, 1))
      continue;
    interrupts.names[i]
        .path[path.copy(interrupts.names[i].path.data(), interrupts.names[i].path.size() - 1)] =
        '\0';
    interrupts.names[i].state = 2;
    slot_ = static_cast<int>(i);
    return;
  }
}

TemporaryName::TemporaryName(TemporaryName&& other) noexcept
    : slot_(std::exchange(other.slot_, -1)) {}

TemporaryName& TemporaryName::operator=(TemporaryName&& other) noexcept {
  std::swap(slot_, other.slot_);
  return *this;
}

TemporaryName::~TemporaryName() {
  if (slot_ >= 0) interrupts.names[static_cast<std::size_t>(slot_)].state = 0;
}

void child_entered(pid_t pid) {
  for (auto& child : interrupts.children) {
    pid_t free = 0;
    if (child.compare_exchange_strong(free, pid)) return;
  }
}

void child_left(pid_t pid) {
  for (auto& child : interrupts.children) {
    pid_t found = pid;
    if (child.compare_exchange_strong(found, 0)) return;
  }
}

void begin_as_child() {
  interrupts.quiet = true;
  interrupts.flag = nullptr;
  for (Name& name : interrupts.names) name.state = 0;
  for (auto& child : interrupts.children) child = 0;
}

}  // namespace paceline

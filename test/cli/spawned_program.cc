#include "test/cli/spawned_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include <gtest/gtest.h>

namespace weighhouse {
namespace {

struct Pair {
  UniqueFd ours, theirs;
};

Pair MakePipe() {
  std::array<int, 2> fds{-1, -1};
  EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
  return {.ours = UniqueFd(fds[0]), .theirs = UniqueFd(fds[1])};
}

Pair MakeTerminal() {
  Pair pair;
  pair.ours.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_EQ(::grantpt(pair.ours.get()), 0);
  EXPECT_EQ(::unlockpt(pair.ours.get()), 0);
  winsize size{
      .ws_row = 24, .ws_col = SpawnedProgram::kTerminalColumns, .ws_xpixel = 0, .ws_ypixel = 0};
  EXPECT_EQ(::ioctl(pair.ours.get(), TIOCSWINSZ, &size), 0);
  std::array<char, 100> path{};
  EXPECT_EQ(::ptsname_r(pair.ours.get(), path.data(), path.size()), 0);
  pair.theirs.reset(::open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  EXPECT_TRUE(pair.theirs);
  return pair;
}

/// Appends what can be read; false at the end (for a terminal: EIO once the other side is closed).
bool ReadSome(int fd, std::string& text) {
  std::array<char, 4096> piece;
  ssize_t count = ::read(fd, piece.data(), piece.size());
  if (count <= 0) return false;
  text.append(piece.data(), static_cast<size_t>(count));
  return true;
}

std::vector<char*> Pointers(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

SpawnedProgram::SpawnedProgram(const std::string& name, const std::vector<std::string>& arguments,
                               const std::vector<std::string>& environment, Errors errors) {
  Pair out = MakePipe();
  Pair err = errors == Errors::kPipe ? MakePipe() : MakeTerminal();
  std::string program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
  std::vector<std::string> words = {program};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<std::string> variables = {"PATH=/usr/bin:/bin", "TERM=xterm"};
  variables.insert(variables.end(), environment.begin(), environment.end());
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, out.theirs.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, err.theirs.get(), STDERR_FILENO);
  EXPECT_EQ(::posix_spawn(&pid_, program.c_str(), &actions, nullptr, Pointers(words).data(),
                          Pointers(variables).data()),
            0);
  ::posix_spawn_file_actions_destroy(&actions);
  out_ = std::move(out.ours);
  err_ = std::move(err.ours);
}

SpawnedProgram::~SpawnedProgram() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool SpawnedProgram::WaitForError(const std::string& text) {
  while (!errors_read_.contains(text)) {
    if (!ReadSome(err_.get(), errors_read_)) return false;
  }
  return true;
}

void SpawnedProgram::Signal(int signal) const { ::kill(pid_, signal); }

ProgramResult SpawnedProgram::Wait() {
  ProgramResult result{.exit_code = -1, .out = "", .err = std::move(errors_read_)};
  std::array<pollfd, 2> polled = {{{.fd = out_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = err_.get(), .events = POLLIN, .revents = 0}}};
  while (polled[0].fd >= 0 || polled[1].fd >= 0) {
    if (::poll(polled.data(), polled.size(), -1) < 0) break;
    if (polled[0].revents != 0 && !ReadSome(out_.get(), result.out)) polled[0].fd = -1;
    if (polled[1].revents != 0 && !ReadSome(err_.get(), result.err)) polled[1].fd = -1;
  }
  int status = 0;
  EXPECT_EQ(::waitpid(pid_, &status, 0), pid_);
  pid_ = -1;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

ProgramResult RunProgram(const std::string& name, const std::vector<std::string>& arguments,
                         const std::vector<std::string>& environment) {
  return SpawnedProgram(name, arguments, environment).Wait();
}

}  // namespace weighhouse
